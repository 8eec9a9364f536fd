/**
 * A TUN of Linux's: a network interface whose packets a process reads and writes. It lives as long as its descriptor
 * is open, and goes with it however the process ends, and with it its addresses and routes.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { GonetError, UsageError } from '../../core/errors.js'
import { hasCode } from '../file-store.js'
import { Errno, type Libc, loadLibc } from './libc.js'

const Device = '/dev/net/tun'
/** linux/if_tun.h. Exclusive: an interface that somebody has made to last is theirs. */
const [SetInterface, Tun, NoPacketInformation, Exclusive] = [0x400454ca, 0x0001, 0x1000, 0x8000]
/** A struct ifreq: a name, and what belongs to it. */
const [InterfaceRequestBytes, NameBytes] = [40, 16]
/** Where a request's number says otherwise which way its argument goes. */
const OtherRequestNumbers: ReadonlySet<string> = new Set(['mips', 'mipsel', 'ppc', 'ppc64'])
/** Read at a time: more, and datagrams wait for too long. */
const BatchPackets = 64
const LargestPacketBytes = 65_535

/**
 * Makes an interface.
 * @param name at most 15 bytes; with `%d` in it, the system puts the first number there that is free
 * @returns its descriptor, not blocking, closed in programs that are started
 * @throws UsageError `tun-missing`, `tun-forbidden`, `interface-exists`, `koffi-missing`, `network-unsupported`
 */
export async function createTun(name: string): Promise<number> {
  if (OtherRequestNumbers.has(process.arch)) throw unsupported(`a ${process.arch} processor`)
  const libc = await loadLibc()
  const descriptor = openDevice()
  const request = new Uint8Array(InterfaceRequestBytes)
  request.set(new TextEncoder().encode(name).subarray(0, NameBytes - 1))
  new Uint16Array(request.buffer, NameBytes, 1)[0] = Tun | NoPacketInformation | Exclusive
  if (libc.ioctl(descriptor, SetInterface, request) === 0) return descriptor
  const errno = libc.errno()
  closeSync(descriptor)
  if (errno === Errno.eperm) {
    throw new UsageError('tun-forbidden', `The network interface ${name} needs CAP_NET_ADMIN`, {
      advice: 'Run gonet by sudo, or use network.mode namespace, which needs no rights',
    })
  }
  if (errno === Errno.ebusy) {
    throw new UsageError('interface-exists', `There is a network interface ${name} already`, {
      advice: 'Give this room another with network.interface, such as gonet1',
    })
  }
  throw new GonetError('interface-failed', `The network interface ${name} cannot be made (error ${errno})`)
}

/** @param where such as `macOS` */
export function unsupported(where: string): UsageError {
  return new UsageError('network-unsupported', `network.mode tun and namespace do not work on ${where}`, {
    advice: 'Use network.mode userspace',
  })
}

function openDevice(): number {
  try {
    return openSync(Device, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    const mend = `sudo sh -c 'modprobe tun; mkdir -p /dev/net; [ -e ${Device} ] || mknod ${Device} c 10 200; chmod 666 ${Device}'`
    const isForbidden = hasCode(error, 'EACCES') || hasCode(error, 'EPERM')
    const message = isForbidden ? `${Device} may not be opened` : `There is no ${Device} that works`
    const advice = isForbidden ? `Run: sudo chmod 666 ${Device}` : `Run: ${mend}`
    throw new UsageError(isForbidden ? 'tun-forbidden' : 'tun-missing', message, { advice, cause: error })
  }
}

/** The packets of an interface. */
export class TunDevice {
  readonly #libc: Libc
  readonly #descriptor: number
  readonly #buffer = new Uint8Array(LargestPacketBytes)
  #poll: { close(): void } | undefined
  #isClosed = false

  constructor(libc: Libc, descriptor: number) {
    this.#libc = libc
    this.#descriptor = descriptor
  }

  /**
   * Begins to read.
   * @param onPackets whole packets, which belong to the listener
   * @param onLost called once, where the interface is gone
   */
  start(onPackets: (packets: readonly Uint8Array[]) => void, onLost: () => void): void {
    this.#poll ??= this.#libc.poll(this.#descriptor, () => {
      const packets: Uint8Array[] = []
      let isLost = false
      while (packets.length < BatchPackets) {
        const length = this.#libc.read(this.#descriptor, this.#buffer)
        isLost = length < 0 && this.#libc.errno() !== Errno.eagain
        if (length <= 0) break
        packets.push(this.#buffer.slice(0, length))
      }
      if (isLost) {
        this.close()
        onLost()
      } else if (packets.length > 0) onPackets(packets)
    })
  }

  /** Best effort: what does not fit into the interface's queue is lost. */
  write(packet: Uint8Array): void {
    if (!this.#isClosed) this.#libc.write(this.#descriptor, packet)
  }

  /** Takes the interface down. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#poll?.close()
    closeSync(this.#descriptor)
  }
}
