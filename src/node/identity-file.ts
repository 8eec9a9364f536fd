/**
 * An identity on disk: a small text that is valid YAML, read by a strict reader. What it holds, whoever can
 * read it is; so a file that others can read is refused, and none is ever overwritten.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { fromBase64, fromUtf8, toBase64, utf8 } from '../core/encoding.js'
import { UsageError } from '../core/errors.js'
import { createFile, hasCode, onDisk } from './file-store.js'

const SizeMax = 4096
const SeedBytes = 32
const Kind = 'gonet identity'

export interface IdentityText {
  /** The Ed25519 seed, 32 bytes: the secret. */
  readonly seed: Uint8Array
  /** The canonical id of the room that it hosts; none for a guest's. */
  readonly room: string | undefined
}

export function formatIdentity({ seed, room }: IdentityText): string {
  return [
    '# Whoever has this file can act as its owner. Keep it to yourself.',
    'version: 1',
    `kind: "${Kind}"`,
    ...(room === undefined ? [] : [`room: "${room}"`]),
    `seed: "${toBase64(seed)}"`,
    '',
  ].join('\n')
}

/**
 * @param source what to call it in errors
 * @throws UsageError `identity-invalid`
 */
export function parseIdentity(text: string, source: string): IdentityText {
  const values = new Map<string, string>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#.*)?$/.test(line)) continue
    const [, key, quoted, plain] = /^([a-z]+): (?:"([^"\\]*)"|([^\s"#]+))\s*$/.exec(line) ?? []
    const value = quoted ?? plain
    if (key === undefined || value === undefined)
      throw invalid(source, `line ${index + 1} is not 'key: value'`)
    if (!['version', 'kind', 'room', 'seed'].includes(key)) {
      throw invalid(source, `line ${index + 1} has the unknown key '${key}'`)
    }
    if (values.has(key)) throw invalid(source, `'${key}' is given twice`)
    values.set(key, value)
  }
  const version = values.get('version')
  if (version === undefined || values.get('kind') !== Kind) throw invalid(source, `it is not a ${Kind}`)
  if (version !== '1') throw invalid(source, 'its version is not 1: a newer gonet may have written it')
  const seed = fromBase64(values.get('seed') ?? '', SeedBytes)
  if (seed === undefined) throw invalid(source, `its seed is not ${SeedBytes} bytes of base64`)
  const room = values.get('room')
  if (room !== undefined && !/^[0-9a-f]{6,128}$/.test(room)) {
    throw invalid(source, 'its room is not a room id of 6 to 128 lower-case hex digits')
  }
  return { seed, room }
}

/**
 * Undefined where there is no such file.
 * @throws UsageError `identity-invalid` for one that is broken, truncated or not a regular file, and
 *   `identity-exposed` for one that others can read; GonetError `store-failed`
 */
export function readIdentityFile(path: string): IdentityText | undefined {
  let descriptor: number
  try {
    // Without blocking, or a FIFO in its place would hang us; and not through a link.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (hasCode(error, 'ELOOP') || hasCode(error, 'ENXIO')) throw invalid(path, 'it is not a regular file')
    return onDisk(`cannot read ${path}`, () => {
      throw error
    })
  }
  try {
    const { mode, size, isFile } = onDisk(`cannot read ${path}`, () => statOf(descriptor))
    if (!isFile) throw invalid(path, 'it is not a regular file')
    if ((mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(3, '0')
      throw new UsageError('identity-exposed', `${path} is open to other users (mode ${octal})`, {
        advice: `Run chmod 600 ${path}; if somebody may have read it, make a new identity`,
      })
    }
    if (size > SizeMax) throw invalid(path, `it is longer than ${SizeMax} bytes`)
    const text = fromUtf8(onDisk(`cannot read ${path}`, () => readFileSync(descriptor)))
    if (text === undefined) throw invalid(path, 'it is not UTF-8')
    return parseIdentity(text, path)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Writes a new identity file, of mode 0600.
 * @returns false where there is a file already, which is left as it is
 * @throws GonetError `store-failed`
 */
export function createIdentityFile(path: string, identity: IdentityText): boolean {
  return createFile(path, `${path}~${process.pid}`, utf8(formatIdentity(identity)), true)
}

function statOf(descriptor: number): { mode: number; size: number; isFile: boolean } {
  const stat = fstatSync(descriptor)
  return { mode: stat.mode, size: stat.size, isFile: stat.isFile() }
}

function invalid(source: string, reason: string): UsageError {
  return new UsageError('identity-invalid', `${source} is not a usable identity: ${reason}`, {
    advice: 'Nothing was changed. Restore the file from a copy, or move it away to begin anew',
  })
}
