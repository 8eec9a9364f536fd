/** The calls of Linux that Node.js does not have, through koffi, which is loaded with the first of them. */
import { UsageError } from '../../core/errors.js'

export interface Libc {
  /** The number of the error that the last call has failed with. */
  errno(): number
  /** @returns less than 0 where it fails, as all of these */
  ioctl(descriptor: number, request: number, argument: Uint8Array): number
  /** @returns the bytes read: of a TUN, one packet */
  read(descriptor: number, buffer: Uint8Array): number
  write(descriptor: number, bytes: Uint8Array): number
  /** Calls back whenever there is something to read, until it is closed. */
  poll(descriptor: number, onReadable: () => void): { close(): void }
}

/** Linux's numbers. */
export const Errno = { eperm: 1, eagain: 11, ebusy: 16 } as const

let loaded: Promise<Libc> | undefined

/** @throws UsageError `koffi-missing` */
export function loadLibc(): Promise<Libc> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Libc> {
  let koffi: typeof import('koffi')
  try {
    koffi = await import('koffi')
  } catch (error) {
    throw new UsageError('koffi-missing', 'The package koffi, which calls the system, is not installed', {
      advice: 'Install gonet without --omit=optional, or use network.mode userspace',
      cause: error,
    })
  }
  const { load: open, node } = koffi
  const library = open(null)
  const ioctl = library.func('int ioctl(int, unsigned long, void *)')
  const read = library.func('intptr_t read(int, void *, size_t)')
  const write = library.func('intptr_t write(int, void *, size_t)')
  return {
    errno: () => koffi.errno(),
    ioctl: (descriptor, request, argument) => Number(ioctl(descriptor, request, argument)),
    read: (descriptor, buffer) => Number(read(descriptor, buffer, buffer.length)),
    write: (descriptor, bytes) => Number(write(descriptor, bytes, bytes.length)),
    poll: (descriptor, onReadable) => node.poll(descriptor, { readable: true }, onReadable),
  }
}
