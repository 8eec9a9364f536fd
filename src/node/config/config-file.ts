/** Finding and reading the configuration file. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { ConfigError } from './config-error.js'

export interface ConfigFile {
  /** As it was given, or as it was found: for people. */
  readonly path: string
  readonly text: string
  /** Whether other users of the machine may read it. */
  readonly exposed: boolean
}

interface ConfigFilePlaces {
  /** `--config`; false to look for none. */
  readonly file?: string | false | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

/**
 * The first of `--config`, `$GONET_CONFIG`, `./gonet.yaml` and `gonet/gonet.yaml` in the XDG config folder;
 * undefined where there is none of them.
 * @throws ConfigError where a named file is missing, or the found one cannot be read
 */
export function readConfigFile({ file, environment, cwd }: ConfigFilePlaces): ConfigFile | undefined {
  if (file === false) return undefined
  const named = file ?? nonEmpty(environment['GONET_CONFIG'])
  if (named !== undefined) {
    const found = readAt(cwd, named)
    if (found !== undefined) return found
    throw new ConfigError([{ source: named, path: '', message: 'there is no such file' }])
  }
  const home = nonEmpty(environment['HOME']) ?? homedir()
  const folder = nonEmpty(environment['XDG_CONFIG_HOME']) ?? join(home, '.config')
  return readAt(cwd, 'gonet.yaml') ?? readAt(cwd, join(folder, 'gonet', 'gonet.yaml'))
}

function readAt(cwd: string, path: string): ConfigFile | undefined {
  let descriptor: number | undefined
  try {
    descriptor = openSync(resolve(cwd, path), 'r')
    const exposed = (fstatSync(descriptor).mode & 0o044) !== 0
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor))
    return { path, text, exposed }
  } catch (error) {
    if (isMissing(error)) return undefined
    const reason = error instanceof TypeError ? 'it is not UTF-8' : reasonOf(error)
    throw new ConfigError([{ source: path, path: '', message: `cannot be read: ${reason}` }])
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? error.code : undefined
  if (code === 'EISDIR') return 'it is a folder'
  return code === 'EACCES' ? 'no permission' : error.message
}

/** An empty variable counts as unset, as the XDG specification has it. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
