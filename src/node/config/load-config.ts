/** The configuration in force: flags over `--set` over environment over file over defaults. */
import { dirname, resolve } from 'node:path'
import { type $ZodType, safeParse } from 'zod/v4/core'
import type { AdapterDefinition } from '../../adapters/adapter-definition.js'
import { ConfigError, type ConfigProblem, formatOrigin, type Origin, problemAt } from './config-error.js'
import { readConfigFile } from './config-file.js'
import { readEnvironment } from './environment.js'
import { resolveFileReferences } from './file-references.js'
import { issueTexts } from './issue-text.js'
import { readLayer, type Setting, writePath } from './layer.js'
import { locateValue, nest } from './located.js'
import { namedModules, OwnAdapters } from './own-adapters.js'
import { type AdapterSchemas, type Config, configSchema, defaultSignal } from './schema.js'
import { leafPaths, memberOf } from './schema-shape.js'
import { isSecretName, maskUrlPasswords } from './secret-names.js'
import { readYaml } from './yaml-text.js'

export interface ConfigInput {
  /** `--config`; false to read no file, not even one of those that are looked for. */
  readonly file?: string | false | undefined
  /** Each `--set`, such as `network.mtu=1300`; the value is YAML. */
  readonly set?: readonly string[]
  /** What dedicated flags say, as a partial configuration; undefined members count as absent. */
  readonly flags?: PartialConfig
  /** The process's environment, whole: GONET_CONFIG, GONET_SET_… and the XDG folders matter. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Where relative paths and `./gonet.yaml` are looked up; a file's own relative paths start from it. */
  readonly cwd: string
  readonly adapterSchemas: AdapterSchemas
  /** Adapters that a program brings, which `flags.signal` names. */
  readonly ownAdapters?: readonly AdapterDefinition[] | undefined
}

/** A configuration of which everything may be left out. */
export type PartialConfig = {
  readonly [Section in keyof Config]?:
    | (Config[Section] extends readonly unknown[] | string | undefined
        ? Config[Section]
        : { readonly [Key in keyof Config[Section]]?: Config[Section][Key] | undefined })
    | undefined
}

export interface LoadedConfig {
  readonly config: Config
  /** Where each value comes from, by its key's path with dots: every key of `config` is there. */
  readonly sources: ReadonlyMap<string, Origin>
  /** Sentences for stderr. */
  readonly warnings: readonly string[]
  /** The configuration file that was read. */
  readonly file: string | undefined
  /** Adapters that are not gonet's own, by name. `config.signal` has their names. */
  readonly ownAdapters: ReadonlyMap<string, AdapterDefinition>
}

const Default: Origin = { layer: 'default', source: 'default' }

/**
 * Reads every layer. The YAML library is loaded only where there is YAML.
 * @throws ConfigError with everything that is wrong, in all layers
 */
export async function loadConfig(input: ConfigInput): Promise<LoadedConfig> {
  const problems: ConfigProblem[] = []
  const warnings: string[] = []
  const merged = new Map<string, Setting>()

  const file = readConfigFile(input)
  const fileOrigin: Origin = { layer: 'file', source: file?.path ?? '' }
  const located = file && (await readYaml(file.text, fileOrigin, '', problems))
  const fileBase = dirname(resolve(input.cwd, file?.path ?? ''))
  const own = new OwnAdapters(input.ownAdapters ?? [])
  await own.load(await namedModules(input, located, fileBase), problems)
  const schema = configSchema(new Map([...input.adapterSchemas, ...own.schemas]), own.entries)
  const apply = (settings: readonly Setting[], base: string): void => {
    const resolved = resolveFileReferences(settings, base)
    merge(schema, merged, own.resolveNames(resolved, base), problems)
  }

  if (file !== undefined) {
    const settings = located === undefined ? [] : readLayer(schema, located, problems)
    if (file.exposed) warnings.push(...exposedSecrets(schema, settings))
    apply(settings, fileBase)
  }
  apply(await readEnvironment(input.environment, schema, problems), input.cwd)
  apply(await readAssignments(input.set ?? [], schema, problems), input.cwd)
  apply(readFlags(input.flags ?? {}, schema, problems), input.cwd)

  if (problems.length > 0) throw new ConfigError(problems)
  const config = complete(schema, merged, defaultSignal(input.adapterSchemas), problems)
  if (config === undefined) throw new ConfigError(problems)
  const sources = new Map<string, Origin>()
  for (const path of leafPaths(schema)) {
    const origin = merged.get(path.join('.'))?.located.origin
    if (origin !== undefined || valueAt(config, path) !== undefined)
      sources.set(path.join('.'), origin ?? Default)
  }
  return { config, sources, warnings, file: file?.path, ownAdapters: own.definitions }
}

/**
 * The key that holds the same secret in the other way, inline or as a file: `passwordFile` for `password`
 * and the reverse, where a section has both.
 */
function secretTwin(schema: $ZodType, path: readonly string[]): string | undefined {
  const last = path.at(-1) ?? ''
  const section = path.slice(0, -1).reduce<$ZodType | undefined>((at, key) => at && memberOf(at, key), schema)
  const twin = last.endsWith('File') ? last.slice(0, -'File'.length) : `${last}File`
  return section && memberOf(section, twin) && [...path.slice(0, -1), twin].join('.')
}

async function readAssignments(
  assignments: readonly string[],
  schema: $ZodType,
  problems: ConfigProblem[],
): Promise<Setting[]> {
  const settings: Setting[] = []
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=')
    const key = (equals < 0 ? assignment : assignment.slice(0, equals)).trim()
    const origin: Origin = { layer: 'set', source: `--set ${key}` }
    if (equals < 0 || key === '') {
      problems.push(problemAt(origin, '', 'expected key.path=value'))
      continue
    }
    const text = assignment.slice(equals + 1)
    const value = await readYaml(text, origin, key, problems)
    if (value === undefined && text.trim() !== '') continue
    const located = nest(key.split('.'), value ?? { kind: 'scalar', origin, value: null, text: '' })
    settings.push(...readLayer(schema, located, problems))
  }
  return settings
}

function readFlags(flags: PartialConfig, schema: $ZodType, problems: ConfigProblem[]): Setting[] {
  return Object.entries(flags).flatMap(([key, value]) => {
    if (value === undefined) return []
    const source = key === 'log' ? '--verbose or --quiet' : `--${key}`
    return readLayer(schema, nest([key], locateValue(value, { layer: 'flag', source })), problems)
  })
}

/** Later layers win, key by key; a secret in one way replaces the same secret in the other. */
function merge(
  schema: $ZodType,
  merged: Map<string, Setting>,
  settings: readonly Setting[],
  problems: ConfigProblem[],
): void {
  const own = new Set(settings.map(({ path }) => path.join('.')))
  for (const setting of settings) {
    const key = setting.path.join('.')
    const twin = secretTwin(schema, setting.path)
    if (twin !== undefined) {
      if (!own.has(twin)) merged.delete(twin)
      else if (key.endsWith('File')) {
        problems.push(problemAt(setting.located.origin, key, `give either this or ${twin}, not both`))
      }
    }
    merged.set(key, setting)
  }
}

function exposedSecrets(schema: $ZodType, settings: readonly Setting[]): string[] {
  return settings.flatMap(({ path, value, located }) => {
    const key = path.join('.')
    const twin = secretTwin(schema, path)
    if (!holdsSecret(value, path.at(-1) ?? '')) return []
    const advice = twin === undefined ? 'chmod 600 it' : `chmod 600 it, or use ${twin}`
    return [`${formatOrigin(located.origin)}: ${key} is a secret in a file that others can read: ${advice}`]
  })
}

function holdsSecret(value: unknown, name: string): boolean {
  if (Array.isArray(value)) return value.some((item) => holdsSecret(item, name))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).some(([key, each]) => holdsSecret(each, key))
  }
  return isSecretName(name) || (typeof value === 'string' && maskUrlPasswords(value) !== value)
}

/** Fills in the defaults, and checks what only the whole can show: an adapter's keys against each other. */
function complete(
  schema: $ZodType<Config>,
  merged: ReadonlyMap<string, Setting>,
  byDefault: readonly string[],
  problems: ConfigProblem[],
): Config | undefined {
  const tree: Record<string, unknown> = {}
  for (const { path, value } of merged.values()) place(tree, path, value)
  const signal = (merged.get('signal')?.value ?? byDefault) as readonly string[]
  for (const name of signal) place(tree, ['adapters', name], valueAt(tree, ['adapters', name]) ?? {})
  const result = safeParse(schema, tree)
  if (result.success) return result.data
  for (const issue of result.error.issues) {
    for (const { path, message, suggestion } of issueTexts(issue, tree, [])) {
      const at = nearestOrigin(merged, path.map(String)) ?? merged.get('signal')?.located.origin ?? Default
      const [first = '', ...rest] = path
      problems.push(problemAt(at, writePath(String(first), rest), message, suggestion))
    }
  }
  return undefined
}

function nearestOrigin(merged: ReadonlyMap<string, Setting>, path: readonly string[]): Origin | undefined {
  for (let length = path.length; length > 0; length--) {
    const prefix = path.slice(0, length).join('.')
    for (const [key, { located }] of merged) {
      if (key === prefix || key.startsWith(`${prefix}.`)) return located.origin
    }
  }
  return undefined
}

function place(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  const below = (tree[key] ?? {}) as Record<string, unknown>
  tree[key] = below
  place(below, rest, value)
}

function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<string, unknown>)[key] : undefined),
    tree,
  )
}
