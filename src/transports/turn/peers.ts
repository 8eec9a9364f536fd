/** Whom the relayed address serves: the permissions and the channels of an allocation, and the requests for them. */
import { earliest, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { formatAddress, parseAddress } from '../ip/address.js'
import { TransactionIdBytes } from '../stun/constants.js'
import { encodeChannelData } from './channel-data.js'
import { Channels } from './channels.js'
import type { TurnEvent } from './events.js'
import { type Failed, printable } from './failures.js'
import { Permissions } from './permissions.js'
import {
  channelRequest,
  type PeerPurpose,
  type Purpose,
  permissionRequest,
  sendIndication,
} from './requests.js'
import type { Request } from './transactions.js'

export class Peers {
  readonly #random: Random
  readonly #family: 4 | 6
  readonly #isStream: boolean
  readonly #permissions: Permissions = new Permissions()
  readonly #channels: Channels

  constructor(random: Random, family: 4 | 6, isStream: boolean) {
    this.#random = random
    this.#family = family
    this.#isStream = isStream
    this.#channels = new Channels(random)
  }

  /** @returns false where some are of another family than the relayed address, or there are too many */
  permit(now: number, addresses: readonly string[]): boolean {
    let areAll = true
    for (const text of addresses) {
      const bytes = parseAddress(text)
      const isFit = bytes?.length === (this.#family === 4 ? 4 : 16)
      if (!isFit || !this.#permissions.add(now, formatAddress(bytes))) areAll = false
    }
    return areAll
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) this.#permissions.remove(address)
  }

  isPermitted(now: number, { address }: SocketAddress): boolean {
    return this.#permissions.isGranted(now, address)
  }

  /** Wraps data for the server to pass on to a peer. */
  encode(now: number, peer: SocketAddress, data: Uint8Array): Uint8Array {
    const channel = this.#channels.use(now, peer)
    if (channel !== undefined) return encodeChannelData(channel, data, this.#isStream)
    return sendIndication(this.#random.bytes(TransactionIdBytes), peer, data)
  }

  /** Who is at the other end of a channel. */
  peerOf(now: number, channel: number): SocketAddress | undefined {
    return this.#channels.peerOf(now, channel)
  }

  /** What to ask the server for now. */
  takeDue(now: number): readonly Request<Purpose>[] {
    const isWanted = ({ address }: SocketAddress): boolean => this.#permissions.has(address)
    return [
      ...this.#permissions.takeDue(now).map(permissionRequest),
      ...this.#channels.takeDue(now, isWanted).map(({ number, peer }) => channelRequest(number, peer)),
    ]
  }

  succeeded(now: number, purpose: PeerPurpose): readonly TurnEvent[] {
    if (purpose.kind === 'channel') {
      this.#channels.bound(now, purpose.number)
      return []
    }
    const addresses = this.#permissions.granted(now, purpose.addresses)
    return addresses.length > 0 ? [{ type: 'permitted', addresses }] : []
  }

  failed(now: number, purpose: PeerPurpose, outcome: Failed): readonly TurnEvent[] {
    if (purpose.kind === 'channel') {
      if (outcome.result === 'error') this.#channels.refused(now, purpose.number)
      else this.#channels.unanswered(now, purpose.number)
      return []
    }
    const { addresses } = purpose
    if (outcome.result !== 'error') {
      this.#permissions.unanswered(now, addresses)
      return []
    }
    if (addresses.length > 1) {
      this.#permissions.separate(now, addresses)
      return []
    }
    this.release(addresses)
    const { code: status, reason } = outcome.error
    return addresses.map((address) => ({ type: 'denied', address, status, reason: printable(reason) }))
  }

  /** The allocation is gone: another one needs it all again. */
  reset(now: number): void {
    this.#permissions.reset(now)
    this.#channels.reset()
  }

  pollTimeout(): number | undefined {
    return earliest(this.#permissions.pollTimeout(), this.#channels.pollTimeout())
  }
}
