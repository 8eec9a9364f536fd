/** A member's way to the simulated internet: its sockets, and the NATs in front of them. */
import { type Endpoint, formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import type { Nat } from './simulated-nat.js'

const FirstFurtherPort = 20_000

export class SimulatedAccess {
  /** Where datagrams to the member go. */
  readonly publicAddress: string
  readonly #nat: Nat
  readonly #inside: SocketAddress
  /** Of sockets besides the member's own. */
  readonly #portOf = new Map<string, number>()
  readonly #socketOf = new Map<number, string>()
  #opened = 0

  /** @param inside the member's own socket */
  constructor(nat: Nat, inside: SocketAddress, publicAddress: string) {
    this.#nat = nat
    this.#inside = inside
    this.publicAddress = publicAddress
  }

  openSockets(ids: readonly string[]): void {
    for (const id of ids) {
      const port = FirstFurtherPort + this.#opened++
      this.#portOf.set(id, port)
      this.#socketOf.set(port, id)
    }
  }

  closeSockets(ids: readonly string[]): void {
    for (const id of ids) {
      this.#socketOf.delete(this.#portOf.get(id) ?? 0)
      this.#portOf.delete(id)
    }
  }

  /** @returns where the internet sees a datagram come from; undefined where it gets nowhere */
  outbound(now: number, { via, ...destination }: Endpoint): SocketAddress | undefined {
    const port = via === undefined ? this.#inside.port : this.#portOf.get(via)
    return port === undefined ? undefined : this.#nat.outbound(now, { ...this.#inside, port }, destination)
  }

  /** @returns where the member sees a datagram come from, and by which socket; undefined where it is turned away */
  inbound(now: number, source: SocketAddress, destination: SocketAddress): Endpoint | undefined {
    const inside = this.#nat.inbound(now, source, destination)
    if (inside?.address !== this.#inside.address) return undefined
    if (formatSocketAddress(inside) === formatSocketAddress(this.#inside)) return source
    const via = this.#socketOf.get(inside.port)
    return via === undefined ? undefined : { ...source, via }
  }
}
