/** What `gonet config check` and `gonet config show` say. */
import { maskInvites } from '../../core/invite.js'
import { ConfigError, type ConfigProblem, formatOrigin, formatProblem } from './config-error.js'
import { type ConfigInput, type LoadedConfig, loadConfig } from './load-config.js'
import { isSecretName, maskUrlPasswords } from './secret-names.js'

export interface ConfigCheck {
  readonly ok: boolean
  /** The file that was read; undefined where there was none, or where it was wrong. */
  readonly file: string | undefined
  readonly problems: readonly ConfigProblem[]
  readonly warnings: readonly string[]
}

/** Whether the configuration is right; what is wrong with it is data here, not an error. */
export async function checkConfig(input: ConfigInput): Promise<ConfigCheck> {
  try {
    const { file, warnings } = await loadConfig(input)
    return { ok: true, file, problems: [], warnings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { ok: false, file: undefined, problems: error.problems, warnings: [] }
  }
}

/** One line for each problem and warning, or one that says that all is well. */
export function formatCheck(check: ConfigCheck): string {
  const lines = [...check.problems.map(formatProblem), ...check.warnings.map((text) => `warning: ${text}`)]
  if (check.ok) lines.push(`${check.file ?? 'no configuration file'}: ok`)
  return `${lines.join('\n')}\n`
}

export interface ShownConfig {
  /** Secrets are `***`. */
  readonly config: Readonly<Record<string, unknown>>
  /** Where each value comes from, by the key's path with dots: `gonet.yaml:3:5`, `--name`, `default`. */
  readonly sources: Readonly<Record<string, string>>
}

/** The configuration in force, for `--json`. */
export function showConfig({ config, sources }: Pick<LoadedConfig, 'config' | 'sources'>): ShownConfig {
  return {
    config: masked(config, '') as Record<string, unknown>,
    sources: Object.fromEntries([...sources].map(([key, origin]) => [key, formatOrigin(origin)])),
  }
}

/** The configuration in force as YAML, with the source of each value behind it. */
export async function formatConfig(loaded: Pick<LoadedConfig, 'config' | 'sources'>): Promise<string> {
  const { Document, isMap, isPair, isScalar } = await import('yaml')
  const { config, sources } = showConfig(loaded)
  const document = new Document(config)
  annotate(document.contents, [])
  return document.toString({ lineWidth: 0 })

  function annotate(node: unknown, path: readonly string[]): void {
    if (!isMap(node)) return
    for (const pair of node.items) {
      if (!isPair(pair) || !isScalar(pair.key)) continue
      const below = [...path, String(pair.key.value)]
      const source = sources[below.join('.')]
      const { value } = pair
      if (source === undefined) annotate(value, below)
      // A comment behind a list would stand below it: lists carry theirs on the key's own line.
      else if (isScalar(value)) value.comment = ` ${source}`
      else pair.key.commentBefore = ` ${source}`
    }
  }
}

function masked(value: unknown, name: string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => masked(item, name))
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined)
    return Object.fromEntries(members.map(([key, member]) => [key, masked(member, key)]))
  }
  if (isSecretName(name)) return '***'
  return typeof value === 'string' ? maskInvites(maskUrlPasswords(value)) : value
}
