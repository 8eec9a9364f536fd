import { UsageError } from '../../core/errors.js'

/** Where a value comes from. */
export interface Origin {
  readonly layer: 'default' | 'file' | 'environment' | 'set' | 'flag'
  /** A file's path, an environment variable's name, `--set network.mtu` or `--name`; `default`. */
  readonly source: string
  /** 1-based, in files. */
  readonly line?: number
  /** 1-based, in files. */
  readonly column?: number
}

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  readonly source: string
  readonly line?: number
  readonly column?: number
  /** The key's path with dots, such as `adapters.mqtt.url`; empty where the whole source is wrong. */
  readonly path: string
  readonly message: string
  /** What to write instead, as a sentence. */
  readonly suggestion?: string
}

/** Everything that is wrong with the configuration, at once: `message` has one line for each problem. */
export class ConfigError extends UsageError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super('config-invalid', problems.map(formatProblem).join('\n'))
    this.problems = problems
  }
}

/** `gonet.yaml:3:5: transport.prot: unknown key (did you mean 'port'?)` */
export function formatProblem(problem: ConfigProblem): string {
  const suggestion = problem.suggestion === undefined ? '' : ` (${problem.suggestion})`
  const path = problem.path === '' ? '' : `${problem.path}: `
  return `${formatOrigin(problem)}: ${path}${problem.message}${suggestion}`
}

/** `gonet.yaml:3:5`, or the bare source where there is no line. */
export function formatOrigin(origin: Pick<Origin, 'source' | 'line' | 'column'>): string {
  return origin.line === undefined ? origin.source : `${origin.source}:${origin.line}:${origin.column ?? 1}`
}

export function problemAt(origin: Origin, path: string, message: string, suggestion?: string): ConfigProblem {
  return {
    source: origin.source,
    ...(origin.line === undefined ? {} : { line: origin.line }),
    ...(origin.column === undefined ? {} : { column: origin.column }),
    path,
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  }
}
