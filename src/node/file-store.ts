/** The core's Store port on a folder: every write is on disk when it returns. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { GonetError } from '../core/errors.js'
import type { Store } from '../core/ports.js'

const NameMax = 512

/** Values are files, of mode 0600; a `/` in a name is a folder, of mode 0700. */
export class FileStore implements Store {
  readonly #directory: string

  /** @param directory made at the first write */
  constructor(directory: string) {
    this.#directory = directory
  }

  read(name: string): Uint8Array | undefined {
    const path = this.#path(name)
    return onDisk(`cannot read ${path}`, () => {
      try {
        return new Uint8Array(readFileSync(path))
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return undefined
        throw error
      }
    })
  }

  write(name: string, bytes: Uint8Array): void {
    const path = this.#path(name)
    onDisk(`cannot write ${path}`, () => {
      makeFolder(dirname(path))
      // No name has a `~`, and one process at a time writes here: a leftover of a crash is overwritten.
      const temporary = `${path}~`
      try {
        writeWhole(temporary, bytes, true)
        renameSync(temporary, path)
      } catch (error) {
        rmSync(temporary, { force: true })
        throw error
      }
      syncFolder(dirname(path))
    })
  }

  append(name: string, bytes: Uint8Array): void {
    const path = this.#path(name)
    onDisk(`cannot write ${path}`, () => {
      makeFolder(dirname(path))
      const descriptor = openSync(path, 'a', 0o600)
      try {
        const { size } = fstatSync(descriptor)
        try {
          writeAll(descriptor, bytes)
          fsyncSync(descriptor)
        } catch (error) {
          // A full disk takes half an entry: without this, the next entry would stand behind a torn one.
          truncateQuietly(descriptor, size)
          throw error
        }
        if (size === 0) syncFolder(dirname(path))
      } finally {
        closeSync(descriptor)
      }
    })
  }

  remove(name: string): void {
    const path = this.#path(name)
    onDisk(`cannot remove ${path}`, () => {
      try {
        unlinkSync(path)
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return
        throw error
      }
      syncFolder(dirname(path))
    })
  }

  #path(name: string): string {
    const isName = /^[A-Za-z0-9.-]+(\/[A-Za-z0-9.-]+)*$/.test(name) && name.length <= NameMax
    if (!isName || name.split('/').some((part) => part === '.' || part === '..')) {
      throw new TypeError(`not a name for a stored value: ${JSON.stringify(name)}`)
    }
    return join(this.#directory, name)
  }
}

/**
 * Creates a file of mode 0600 with its whole content at once: nobody ever sees a part of it, and of two
 * that try, one succeeds.
 * @param temporary a path beside it that no other process uses
 * @param durable whether it must outlast a crash of the machine
 * @returns false where there is a file already, which is left as it is
 */
export function createFile(path: string, temporary: string, bytes: Uint8Array, durable: boolean): boolean {
  return onDisk(`cannot write ${path}`, () => {
    makeFolder(dirname(path))
    try {
      writeWhole(temporary, bytes, durable)
      linkSync(temporary, path)
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    } finally {
      rmSync(temporary, { force: true })
    }
    if (durable) syncFolder(dirname(path))
    return true
  })
}

/** Makes a folder of mode 0700, and those above it that are missing. */
function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** Runs what touches the disk. @throws GonetError `store-failed`, with the cause in words */
export function onDisk<Result>(failure: string, action: () => Result): Result {
  try {
    return action()
  } catch (error) {
    if (error instanceof GonetError) throw error
    throw new GonetError('store-failed', `${failure}: ${diskReason(error)}`, { cause: error })
  }
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

const DiskReasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EPERM: 'not permitted',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EIO: 'the disk has an error',
  ENOTDIR: 'a folder of its path is a file',
  EISDIR: 'it is a folder',
  EEXIST: 'something else is in its place',
  ENAMETOOLONG: 'its name is too long',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files',
}

function diskReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? String(error.code) : ''
  return DiskReasons[code] ?? error.message
}

function truncateQuietly(descriptor: number, size: number): void {
  try {
    ftruncateSync(descriptor, size)
  } catch {
    // What failed before says more, and readers cope with a torn tail.
  }
}

function writeWhole(path: string, bytes: Uint8Array, durable: boolean): void {
  const descriptor = openSync(path, 'w', 0o600)
  try {
    writeAll(descriptor, bytes)
    if (durable) fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written)
}

/** A rename or a new name is only on disk when its folder is. */
function syncFolder(path: string): void {
  // Windows opens no folders; its file systems journal names by themselves.
  if (process.platform === 'win32') return
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
