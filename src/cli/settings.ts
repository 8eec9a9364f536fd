/** What the global options, the environment and the configuration file come to. */
import type { Logger } from '../core/ports.js'
import { adapterSchemas } from '../node/adapter-schemas.js'
import { type ConfigInput, type LoadedConfig, loadConfig } from '../node/config/load-config.js'
import { createLogger, logLevel } from '../node/logger.js'
import { State, stateFolder } from '../node/state.js'
import type { GlobalOptions } from './global-options.js'

export function configInput(options: GlobalOptions): ConfigInput {
  const { config: file, set = [], signal, name, passwordFile } = options
  return {
    file,
    set,
    flags: { signal, name, ...(passwordFile !== undefined && { admission: { passwordFile } }) },
    environment: process.env,
    cwd: process.cwd(),
    adapterSchemas,
  }
}

/** @throws ConfigError */
export function loadSettings(options: GlobalOptions): Promise<LoadedConfig> {
  return loadConfig(configInput(options))
}

export function openState({ state }: GlobalOptions): State {
  return new State(stateFolder(state, process.env, process.cwd()))
}

/** @param write takes whole lines; by default they go to stderr */
export function makeLogger(
  { config }: LoadedConfig,
  { quiet, verbose }: GlobalOptions,
  write?: (line: string) => void,
): Promise<Logger> {
  const { level, format } = config.log
  const flags = { ...(quiet && { quiet }), ...(verbose && { verbose }) }
  return createLogger({ level: logLevel(level, flags), format, ...(write && { write }) })
}
