/** Who is in a host's room, or was: by key, and by the overlay address that control messages come from. */
import type { Tunnel, TunnelMember } from './host-tunnels.js'

export interface HostMember {
  /** Public key, base64. */
  readonly key: string
  readonly publicKey: Uint8Array
  name: string
  address: string
  readonly address6: string
  /** The tunnel in use; undefined while the member is away. */
  tunnel: Tunnel | undefined
  heardAt: number
}

export class HostMembers {
  readonly #max: number
  readonly #byKey = new Map<string, HostMember>()
  readonly #byAddress6 = new Map<string, HostMember>()

  /** @param max members, those that are away included */
  constructor(max: number) {
    this.#max = max
  }

  get all(): readonly HostMember[] {
    return Array.from(this.#byKey.values())
  }

  get online(): readonly HostMember[] {
    return this.all.filter(({ tunnel }) => tunnel !== undefined)
  }

  get(key: string): HostMember | undefined {
    return this.#byKey.get(key)
  }

  at(address6: string): HostMember | undefined {
    return this.#byAddress6.get(address6)
  }

  isOnline(key: string): boolean {
    return this.get(key)?.tunnel !== undefined
  }

  /** Whether a key could be a member: it is one, or there is room. */
  hasPlaceFor(key: string): boolean {
    return this.#byKey.has(key) || this.#byKey.size < this.#max || this.#longestAway() !== undefined
  }

  /**
   * Adds somebody who was no member. Who is away gives way where its address went to the new one, or where there
   * are too many.
   * @returns undefined where there is no place
   */
  add(
    now: number,
    key: string,
    address6: string,
    { publicKey, address }: Pick<TunnelMember, 'publicKey' | 'address'>,
  ): HostMember | undefined {
    for (const other of this.#byKey.values()) {
      if (other.address === address && other.tunnel === undefined) this.remove(other)
    }
    if (this.#byKey.size >= this.#max) {
      const longestAway = this.#longestAway()
      if (longestAway === undefined) return undefined
      this.remove(longestAway)
    }
    const member = { key, publicKey, name: '', address, address6, tunnel: undefined, heardAt: now }
    this.#byKey.set(key, member)
    this.#byAddress6.set(address6, member)
    return member
  }

  remove(member: HostMember): void {
    this.#byKey.delete(member.key)
    this.#byAddress6.delete(member.address6)
  }

  #longestAway(): HostMember | undefined {
    let longest: HostMember | undefined
    for (const member of this.#byKey.values()) {
      const isLonger = longest === undefined || member.heardAt < longest.heardAt
      if (member.tunnel === undefined && isLonger) longest = member
    }
    return longest
  }
}
