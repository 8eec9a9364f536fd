/** Sockets besides the ones of the port: a port search opens many at once. */
import type { SocketAddress } from '../core/machine.js'
import type { UdpSocket } from '../core/ports.js'
import { openUdpSocket } from './udp-socket.js'

export class FurtherSockets {
  readonly #onDatagram: (id: string, bytes: Uint8Array, source: SocketAddress) => void
  readonly #byId = new Map<string, UdpSocket>()
  #isClosed = false

  constructor(onDatagram: (id: string, bytes: Uint8Array, source: SocketAddress) => void) {
    this.#onDatagram = onDatagram
  }

  /** @returns those that are open. Where there are too few descriptors, fewer have to do. */
  async open(ids: readonly string[]): Promise<readonly string[]> {
    const opened = await Promise.allSettled(ids.map(() => openUdpSocket(4, 0)))
    const open = opened.flatMap((result, index) =>
      result.status === 'fulfilled' ? [[ids[index] ?? '', result.value] as const] : [],
    )
    for (const [id, socket] of open) {
      this.#byId.set(id, socket)
      socket.onDatagram((bytes, source) => this.#onDatagram(id, bytes, source))
      if (this.#isClosed) this.close(id)
    }
    return open.map(([id]) => id)
  }

  send(id: string, bytes: Uint8Array, destination: SocketAddress): void {
    this.#byId.get(id)?.send(bytes, destination)
  }

  close(id: string): void {
    void this.#byId.get(id)?.close()
    this.#byId.delete(id)
  }

  /** Those that are being opened too. */
  closeAll(): void {
    this.#isClosed = true
    for (const id of [...this.#byId.keys()]) this.close(id)
  }
}
