import { resolve } from 'node:path'
import type { Setting } from './layer.js'

/** TLS material is given as files, under the names that every TLS library uses. */
const TlsFileKeys: ReadonlySet<string> = new Set(['ca', 'cert', 'key'])
/** Where those are. */
const WithTls: ReadonlySet<string> = new Set(['adapters', 'transport'])

/**
 * Settings that name files, with absolute paths: what a configuration file names lies relative to it, so
 * that it means the same wherever gonet is started.
 * @param base the folder that relative paths start from
 */
export function resolveFileReferences(settings: readonly Setting[], base: string): Setting[] {
  return settings.map((setting) => {
    return { ...setting, value: resolveWithin(setting.value, setting.path, base) }
  })
}

function resolveWithin(value: unknown, path: readonly string[], base: string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => resolveWithin(item, path, base))
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
    return Object.fromEntries(members.map(([key, each]) => [key, resolveWithin(each, [...path, key], base)]))
  }
  return namesFile(path) ? resolveText(value, base) : value
}

function namesFile(path: readonly string[]): boolean {
  const last = path.at(-1) ?? ''
  return last.endsWith('File') || (WithTls.has(path[0] ?? '') && TlsFileKeys.has(last))
}

function resolveText(value: unknown, base: string): unknown {
  return typeof value === 'string' && value !== '' ? resolve(base, value) : value
}
