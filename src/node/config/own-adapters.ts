/** Adapters that the layers of the configuration name by the paths of their modules, below `signal`. */
import { resolve } from 'node:path'
import type { $ZodType } from 'zod/v4/core'
import type { AdapterDefinition } from '../../adapters/adapter-definition.js'
import { explain, UsageError } from '../../core/errors.js'
import { type ConfigProblem, type Origin, problemAt } from './config-error.js'
import type { Setting } from './layer.js'
import type { ConfigInput } from './load-config.js'
import { type Located, locateValue } from './located.js'
import { readYaml } from './yaml-text.js'

/** A module, as a layer names it. */
export interface NamedModule {
  readonly entry: string
  /** The folder that a relative path starts from. */
  readonly base: string
  readonly origin: Origin
}

/** Whether an entry of `signal` is the path of a module, not a name. */
export function isModulePath(entry: string): boolean {
  return /[/\\]|\.[cm]?js$/.test(entry)
}

/**
 * The modules that any layer names. Their adapters' schemas have to be known before the layers can be read.
 * @param file what the configuration file says; @param fileBase its folder
 */
export async function namedModules(
  { environment, set = [], flags = {}, cwd }: ConfigInput,
  file: Located | undefined,
  fileBase: string,
): Promise<readonly NamedModule[]> {
  const modules: NamedModule[] = []
  const collect = (at: Located | undefined, base: string): void => {
    if (at?.kind === 'list') for (const item of at.items) collect(item, base)
    if (at?.kind !== 'scalar' || typeof at.value !== 'string' || !isModulePath(at.value)) return
    modules.push({ entry: at.value, base, origin: at.origin })
  }
  /** What is wrong with the text is said when the layer is read. */
  const collectText = async (text: string, origin: Origin): Promise<void> => {
    if (/[/\\]|\.[cm]?js/.test(text)) collect(await readYaml(text, origin, 'signal', []), cwd)
  }
  if (file?.kind === 'section') collect(file.entries.find(({ key }) => key === 'signal')?.value, fileBase)
  for (const [name, text] of Object.entries(environment)) {
    if (text !== undefined && /^GONET_SET_SIGNAL$/i.test(name)) {
      await collectText(text, { layer: 'environment', source: name })
    }
  }
  for (const assignment of set) {
    const [, text] = /^\s*signal\s*=(.*)$/s.exec(assignment) ?? []
    if (text !== undefined) await collectText(text, { layer: 'set', source: '--set signal' })
  }
  if (flags.signal !== undefined) {
    collect(locateValue(flags.signal, { layer: 'flag', source: '--signal' }), cwd)
  }
  return modules
}

export class OwnAdapters {
  readonly #definitions = new Map<string, AdapterDefinition>()
  /** The adapters' names, by the module's absolute path. */
  readonly #names = new Map<string, string>()
  readonly #entries = new Set<string>()

  constructor(given: readonly AdapterDefinition[]) {
    for (const definition of given) this.#definitions.set(definition.name, definition)
  }

  /** Loads modules, each once; what is wrong with them goes to `problems`. */
  async load(modules: readonly NamedModule[], problems: ConfigProblem[]): Promise<void> {
    if (modules.length === 0) return
    // Loaded here, since most have none.
    const { loadOwnAdapter } = await import('../own-adapter.js')
    const seen = new Set<string>()
    for (const { entry, base, origin } of modules) {
      this.#entries.add(entry)
      const path = resolve(base, entry)
      if (seen.has(path)) continue
      seen.add(path)
      try {
        const definition = await loadOwnAdapter(path)
        if (this.#definitions.has(definition.name)) {
          problems.push(
            problemAt(origin, 'signal', `${entry}: another module is called '${definition.name}' too`),
          )
          continue
        }
        this.#definitions.set(definition.name, definition)
        this.#names.set(path, definition.name)
      } catch (error) {
        const reason = error instanceof UsageError ? error.message : explain(error)
        problems.push(problemAt(origin, 'signal', `${entry}: ${reason}`))
      }
    }
  }

  get definitions(): ReadonlyMap<string, AdapterDefinition> {
    return this.#definitions
  }

  /** The options of each, by name. */
  get schemas(): readonly (readonly [string, $ZodType])[] {
    return Array.from(this.#definitions, ([name, { options }]) => [name, options])
  }

  /** The paths as they were written. */
  get entries(): readonly string[] {
    return [...this.#entries]
  }

  /** Settings of one layer, where `signal` has names only. */
  resolveNames(settings: readonly Setting[], base: string): readonly Setting[] {
    return settings.map((setting) => {
      if (setting.path.join('.') !== 'signal' || !Array.isArray(setting.value)) return setting
      const value = setting.value.map((entry: unknown) =>
        typeof entry === 'string' ? (this.#names.get(resolve(base, entry)) ?? entry) : entry,
      )
      return { ...setting, value }
    })
  }
}
