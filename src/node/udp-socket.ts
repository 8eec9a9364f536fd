/** The UdpSocket port on node:dgram: the portable one. */
import { createSocket, type Socket } from 'node:dgram'
import { UsageError } from '../core/errors.js'
import type { SocketAddress } from '../core/machine.js'
import type { UdpSocket } from '../core/ports.js'

/** Room for bursts: 300 guests that join at once. The kernel grants what its limits allow. */
const BufferBytes = 2 * 1024 * 1024

/** What systems let a datagram pass, which cannot be asked for. */
const UsualHops = 64

/**
 * Binds a UDP socket on all addresses of a family.
 * @param port 0 for any
 * @throws UsageError `udp-port` where the port cannot be had
 */
export async function openUdpSocket(family: 4 | 6, port: number): Promise<UdpSocket> {
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6,
    // Only addresses are given. Node would see whether they are names, each time, the first time for some 10 ms.
    lookup: (address, _, found) => found(null, address, family),
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(
        new UsageError('udp-port', `UDP port ${port} cannot be used`, {
          advice: 'Choose another with transport.port, or 0 for any',
          cause: error,
        }),
      )
    })
    socket.bind({ port, address: family === 4 ? '0.0.0.0' : '::' }, () => resolve())
  })
  socket.removeAllListeners('error')
  // Errors of later sends (no route, port unreachable) are the network's way of losing a datagram.
  socket.on('error', () => undefined)
  growBuffers(socket)
  return new DatagramSocket(socket)
}

class DatagramSocket implements UdpSocket {
  readonly local: SocketAddress
  readonly #socket: Socket
  #closed: Promise<void> | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    const { address, port } = socket.address()
    this.local = { address, port }
  }

  send(bytes: Uint8Array, destination: SocketAddress, hops?: number): void {
    if (this.#closed !== undefined) return
    if (hops !== undefined) this.#setHops(hops)
    try {
      // Addresses are looked up at once, so that it is sent before this returns.
      this.#socket.send(bytes, destination.port, destination.address)
    } catch {
      // No port: whoever sends from port 0 gets no answer.
    }
    if (hops !== undefined) this.#setHops(UsualHops)
  }

  #setHops(hops: number): void {
    try {
      this.#socket.setTTL(hops)
    } catch {
      // A system without it sends as it always does.
    }
  }

  onDatagram(listener: (bytes: Uint8Array, source: SocketAddress) => void): void {
    this.#socket.on('message', (bytes, { address, port }) => listener(bytes, { address, port }))
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => this.#socket.close(() => resolve()))
    return this.#closed
  }
}

function growBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(BufferBytes)
    socket.setSendBufferSize(BufferBytes)
  } catch {
    // A kernel that refuses keeps its default, which serves a few peers.
  }
}
