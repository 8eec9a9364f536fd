/**
 * Cryptokey routing (WireGuard paper, section 2): which peer an inner address belongs to. The longest prefix
 * wins.
 */
import ipaddr from 'ipaddr.js'
import { UsageError } from '../../core/errors.js'

interface Prefix {
  readonly address: Uint8Array
  readonly addressLength: 4 | 16
  readonly prefixLength: number
}

export class AllowedAddresses<Peer> {
  /** By address length (4 and 16 bytes). */
  readonly #tables = { 4: new PrefixTable<Peer>(), 16: new PrefixTable<Peer>() }
  /** What each peer was given; another may have it by now. */
  readonly #byPeer = new Map<Peer, readonly Prefix[]>()

  /**
   * Gives a peer exactly these prefixes. One that another peer had is moved, as in WireGuard.
   * @param ranges in CIDR notation, IPv4 and IPv6; host bits are ignored
   * @throws UsageError `allowed-address`; then nothing has changed
   */
  assign(peer: Peer, ranges: readonly string[]): void {
    const prefixes = ranges.map(parsePrefix)
    this.remove(peer)
    for (const prefix of prefixes) this.#tables[prefix.addressLength].insert(prefix, peer)
    this.#byPeer.set(peer, prefixes)
  }

  remove(peer: Peer): void {
    for (const prefix of this.#byPeer.get(peer) ?? []) {
      this.#tables[prefix.addressLength].remove(prefix, peer)
    }
    this.#byPeer.delete(peer)
  }

  /**
   * @param packet where the address stands, at `offset`
   * @param addressLength 4 or 16 bytes
   */
  lookup(packet: Uint8Array, offset: number, addressLength: 4 | 16): Peer | undefined {
    return this.#tables[addressLength].lookup(packet, offset)
  }
}

/** A map for each prefix length that occurs: most peers have one whole address, so there are few. */
class PrefixTable<Peer> {
  /** Longest prefix first. */
  #byLength: { readonly prefixLength: number; readonly peers: Map<string, Peer> }[] = []

  insert({ address, prefixLength }: Prefix, peer: Peer): void {
    let entry = this.#byLength.find((candidate) => candidate.prefixLength === prefixLength)
    if (entry === undefined) {
      entry = { prefixLength, peers: new Map() }
      this.#byLength.push(entry)
      this.#byLength.sort((a, b) => b.prefixLength - a.prefixLength)
    }
    entry.peers.set(prefixKey(address, 0, prefixLength), peer)
  }

  /** Does nothing where the prefix is another peer's. */
  remove({ address, prefixLength }: Prefix, peer: Peer): void {
    const entry = this.#byLength.find((candidate) => candidate.prefixLength === prefixLength)
    const key = prefixKey(address, 0, prefixLength)
    if (entry?.peers.get(key) !== peer) return
    entry.peers.delete(key)
    if (entry.peers.size === 0) this.#byLength = this.#byLength.filter((candidate) => candidate !== entry)
  }

  lookup(bytes: Uint8Array, offset: number): Peer | undefined {
    for (const { prefixLength, peers } of this.#byLength) {
      const peer = peers.get(prefixKey(bytes, offset, prefixLength))
      if (peer !== undefined) return peer
    }
    return undefined
  }
}

/** The first bits of an address as a string, 16 bits a character. */
function prefixKey(bytes: Uint8Array, offset: number, prefixLength: number): string {
  let key = ''
  for (let bits = prefixLength, at = offset; bits > 0; bits -= 16, at += 2) {
    const word = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
    key += String.fromCharCode(bits >= 16 ? word : word & (0xffff << (16 - bits)))
  }
  return key
}

function parsePrefix(range: string): Prefix {
  // The library would also take addresses of fewer than four parts, octal and hexadecimal ones, and zones.
  if (!/^(\d+\.\d+\.\d+\.\d+|[0-9a-f:.]*:[0-9a-f:.]*)\/\d+$/i.test(range) || !ipaddr.isValidCIDR(range)) {
    throw new UsageError(
      'allowed-address',
      `${JSON.stringify(range)} is not an address range such as 10.0.0.2/32`,
    )
  }
  const [address, prefixLength] = ipaddr.parseCIDR(range)
  return {
    address: Uint8Array.from(address.toByteArray()),
    addressLength: address.kind() === 'ipv4' ? 4 : 16,
    prefixLength,
  }
}
