import { resolve } from 'node:path'
import type { Setting } from './layer.js'

/** TLS material is given as files, under the names that every TLS library uses. */
const TlsFileKeys: ReadonlySet<string> = new Set(['ca', 'cert', 'key'])

/**
 * Settings that name files, with absolute paths: what a configuration file names lies relative to it, so
 * that it means the same wherever gonet is started.
 * @param base the folder that relative paths start from
 */
export function resolveFileReferences(settings: readonly Setting[], base: string): Setting[] {
  return settings.map((setting) => {
    if (!namesFile(setting.path)) return setting
    const { value } = setting
    const resolved = Array.isArray(value)
      ? value.map((item: unknown) => resolveText(item, base))
      : resolveText(value, base)
    return { ...setting, value: resolved }
  })
}

function namesFile(path: readonly string[]): boolean {
  const last = path.at(-1) ?? ''
  return last.endsWith('File') || (path[0] === 'adapters' && TlsFileKeys.has(last))
}

function resolveText(value: unknown, base: string): unknown {
  return typeof value === 'string' && value !== '' ? resolve(base, value) : value
}
