/** The calls of Linux that Node.js does not have, through koffi, which is loaded with the first of them. */
import { endianness } from 'node:os'
import { UsageError } from '../../core/errors.js'

export interface Libc {
  /** The number of the error that the last call has failed with. */
  errno(): number
  /** @returns less than 0 where it fails, as all of these */
  ioctl(descriptor: number, request: number, argument: Uint8Array): number
  /** @returns the bytes read: of a TUN, one packet */
  read(descriptor: number, buffer: Uint8Array): number
  write(descriptor: number, bytes: Uint8Array): number
  /** Two sockets that are connected to each other, which keep messages apart; undefined where it fails. */
  socketPair(): readonly [number, number] | undefined
  /** Sends a message, and with it an open descriptor (SCM_RIGHTS, unix(7)). */
  sendDescriptor(socket: number, bytes: Uint8Array, descriptor: number): number
  /** A message, and the descriptor that came with it; undefined where there is none. It is empty at the end. */
  receive(socket: number): ReceivedMessage | undefined
  /** Calls back whenever there is something to read, until it is closed. */
  poll(descriptor: number, onReadable: () => void): { close(): void }
}

export interface ReceivedMessage {
  readonly bytes: Uint8Array
  readonly descriptor: number | undefined
}

/** Linux's numbers. */
export const Errno = { eperm: 1, eagain: 11, ebusy: 16 } as const

const [AddressFamilyUnix, SequencedPackets, CloseOnExec] = [1, 5, 0o2000000]
const [SocketLevel, ScmRights, DescriptorsCloseOnExec] = [1, 1, 0x40000000]
const MessageBytes = 4096
const DescriptorBytes = 4

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
  const { load: open, node, pointer, sizeof, struct } = koffi
  const library = open(null)
  const part = struct({ base: 'void *', length: 'size_t' })
  const header = struct({
    name: 'void *',
    nameLength: 'uint32_t',
    parts: pointer(part),
    partCount: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  })
  const wordBytes = sizeof('size_t')
  const ioctl = library.func('int ioctl(int, unsigned long, void *)')
  const read = library.func('intptr_t read(int, void *, size_t)')
  const write = library.func('intptr_t write(int, void *, size_t)')
  const socketpair = library.func('int socketpair(int, int, int, void *)')
  const sendmsg = library.func('sendmsg', 'intptr_t', ['int', pointer(header), 'int'])
  const recvmsg = library.func('recvmsg', 'intptr_t', ['int', pointer(header), 'int'])
  return {
    errno: () => koffi.errno(),
    ioctl: (descriptor, request, argument) => Number(ioctl(descriptor, request, argument)),
    read: (descriptor, buffer) => Number(read(descriptor, buffer, buffer.length)),
    write: (descriptor, bytes) => Number(write(descriptor, bytes, bytes.length)),
    socketPair: () => {
      const pair = new Int32Array(2)
      if (socketpair(AddressFamilyUnix, SequencedPackets | CloseOnExec, 0, pair) !== 0) return undefined
      return [pair[0] ?? -1, pair[1] ?? -1]
    },
    sendDescriptor: (socket, bytes, descriptor) =>
      Number(sendmsg(socket, messageOf(bytes, writeDescriptor(descriptor, wordBytes)), 0)),
    receive: (socket) => {
      const [bytes, control] = [new Uint8Array(MessageBytes), new Uint8Array(controlBytes(wordBytes))]
      const length = Number(recvmsg(socket, messageOf(bytes, control), DescriptorsCloseOnExec))
      if (length < 0) return undefined
      return { bytes: bytes.subarray(0, length), descriptor: readDescriptor(control, wordBytes) }
    },
    poll: (descriptor, onReadable) => node.poll(descriptor, { readable: true }, onReadable),
  }
}

function messageOf(bytes: Uint8Array, control: Uint8Array): object {
  return {
    name: null,
    nameLength: 0,
    parts: [{ base: bytes, length: bytes.length }],
    partCount: 1,
    control,
    controlLength: control.length,
    flags: 0,
  }
}

/** A struct cmsghdr (its length, a level and a type) and one descriptor, in words of this size (cmsg(3)). */
function controlBytes(wordBytes: number): number {
  return wordBytes + 8 + Math.max(wordBytes, DescriptorBytes)
}

function writeDescriptor(descriptor: number, wordBytes: number): Uint8Array {
  const control = Buffer.alloc(controlBytes(wordBytes))
  const fields = new Int32Array([SocketLevel, ScmRights, descriptor])
  new Uint8Array(control.buffer, control.byteOffset).set(new Uint8Array(fields.buffer), wordBytes)
  const length = wordBytes + fields.byteLength
  if (endianness() === 'LE') control.writeUInt32LE(length, 0)
  else control.writeUInt32BE(length, wordBytes - 4)
  return control
}

function readDescriptor(control: Uint8Array, wordBytes: number): number | undefined {
  const [level, type, descriptor] = new Int32Array(control.slice(wordBytes, wordBytes + 12).buffer)
  return level === SocketLevel && type === ScmRights ? descriptor : undefined
}
