import { checkConfig, formatCheck, formatConfig, showConfig } from '../../node/config/show-config.js'
import { ExitCode } from '../exit-codes.js'
import type { GlobalOptions } from '../global-options.js'
import { safeJson } from '../output/safe-text.js'
import { configInput, loadSettings } from '../settings.js'

/** @returns the exit code */
export async function checkConfiguration(options: GlobalOptions): Promise<number> {
  const check = await checkConfig(configInput(options))
  if (options.json === true) process.stdout.write(`${safeJson(check)}\n`)
  else (check.ok ? process.stdout : process.stderr).write(formatCheck(check))
  return check.ok ? ExitCode.Done : ExitCode.Usage
}

/** @throws ConfigError */
export async function showConfiguration(options: GlobalOptions): Promise<void> {
  const loaded = await loadSettings(options)
  process.stdout.write(
    options.json === true ? `${safeJson(showConfig(loaded))}\n` : await formatConfig(loaded),
  )
}
