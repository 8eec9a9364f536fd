/**
 * What members say to each other inside the tunnel: UDP datagrams between overlay IPv6 addresses, port 4242
 * (docs/protocol.md, Control). The first byte says what a datagram is.
 */
import { concatenate } from '../core/encoding.js'
import { DecodeError } from '../core/errors.js'
import { isNewer, MaxRosterBytes, type RosterNumber } from '../core/roster.js'
import { MaxChangeBytes } from '../core/roster-change.js'
import { decodeIpv6 } from '../transports/ip/ipv6.js'
import { IpProtocol } from '../transports/ip/packet.js'
import { decodeUdp } from '../transports/ip/udp.js'

export const ControlPort = 4242

/** Bytes of a roster in one datagram. */
const FragmentBytes = 1000
const MaxFragments = Math.ceil(MaxRosterBytes / FragmentBytes)

const Type = {
  Chat: 1,
  Roster: 2,
  State: 3,
  Leave: 4,
  LeaveAck: 5,
  Search: 6,
  Close: 8,
  Admission: 9,
  RosterChange: 10,
  RosterReceipt: 12,
} as const

export type ControlMessage =
  /** A payload of the chat log's sync. */
  | { readonly type: 'chat'; readonly payload: Uint8Array }
  /** A piece of a signed roster. */
  | RosterFragment
  /** The newest roster that the sender has; also a sign of life. */
  | { readonly type: 'state'; readonly number: RosterNumber }
  | { readonly type: 'leave' }
  /** The host leaves, and has closed the room. */
  | { readonly type: 'close' }
  /** The answer to both. */
  | { readonly type: 'leave-ack' }
  /** The sender has opened sockets for a port search, and waits for tries. */
  | { readonly type: 'search' }
  /** What is said before a guest is in. */
  | { readonly type: 'admission'; readonly payload: Uint8Array }
  /** A signed step from one roster to the next. */
  | RosterStep
  /** The roster that the sender has now: the answer to one, and answered by nothing. */
  | { readonly type: 'roster-receipt'; readonly number: RosterNumber }

export interface RosterStep {
  readonly type: 'roster-change'
  readonly bytes: Uint8Array
}

export interface RosterFragment {
  readonly type: 'roster'
  readonly number: RosterNumber
  readonly index: number
  readonly count: number
  readonly bytes: Uint8Array
}

export function writeControl(message: ControlMessage): Uint8Array {
  switch (message.type) {
    case 'chat':
      return concatenate(Uint8Array.of(Type.Chat), message.payload)
    case 'roster': {
      const header = new Uint8Array(13)
      writeNumber(header, Type.Roster, message.number)
      const view = new DataView(header.buffer)
      view.setUint16(9, message.index)
      view.setUint16(11, message.count)
      return concatenate(header, message.bytes)
    }
    case 'state':
    case 'roster-receipt': {
      const bytes = new Uint8Array(9)
      writeNumber(bytes, message.type === 'state' ? Type.State : Type.RosterReceipt, message.number)
      return bytes
    }
    case 'leave':
      return Uint8Array.of(Type.Leave)
    case 'close':
      return Uint8Array.of(Type.Close)
    case 'leave-ack':
      return Uint8Array.of(Type.LeaveAck)
    case 'search':
      return Uint8Array.of(Type.Search)
    case 'admission':
      return concatenate(Uint8Array.of(Type.Admission), message.payload)
    case 'roster-change':
      return concatenate(Uint8Array.of(Type.RosterChange), message.bytes)
  }
}

/** Whether an inner IP packet is one for the control port: what a guest may send before it is in. */
export function isControlPacket(packet: Uint8Array): boolean {
  try {
    const ip = decodeIpv6(packet)
    return ip.protocol === IpProtocol.udp && decodeUdp(ip).destinationPort === ControlPort
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return false
  }
}

/** @throws DecodeError `control-form` */
export function readControl(bytes: Uint8Array): ControlMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const number = (): RosterNumber => ({ term: view.getUint32(1), version: view.getUint32(5) })
  switch (bytes[0]) {
    case Type.Chat:
      return { type: 'chat', payload: bytes.subarray(1) }
    case Type.Roster: {
      if (bytes.length <= 13) break
      const [index, count] = [view.getUint16(9), view.getUint16(11)]
      if (count > MaxFragments || index >= count || bytes.length > 13 + FragmentBytes) break
      return { type: 'roster', number: number(), index, count, bytes: bytes.subarray(13) }
    }
    case Type.State:
    case Type.RosterReceipt:
      if (bytes.length !== 9) break
      return { type: bytes[0] === Type.State ? 'state' : 'roster-receipt', number: number() }
    case Type.Leave:
      if (bytes.length !== 1) break
      return { type: 'leave' }
    case Type.Close:
      if (bytes.length !== 1) break
      return { type: 'close' }
    case Type.LeaveAck:
      if (bytes.length !== 1) break
      return { type: 'leave-ack' }
    case Type.Search:
      if (bytes.length !== 1) break
      return { type: 'search' }
    case Type.Admission:
      return { type: 'admission', payload: bytes.subarray(1) }
    case Type.RosterChange:
      if (bytes.length > 1 + MaxChangeBytes) break
      return { type: 'roster-change', bytes: bytes.subarray(1) }
  }
  throw new DecodeError('control-form', 'not a control message')
}

/** Cuts a signed roster into the messages that carry it. */
export function fragmentRoster(number: RosterNumber, roster: Uint8Array): readonly RosterFragment[] {
  const count = Math.ceil(roster.length / FragmentBytes)
  return Array.from({ length: count }, (_, index) => {
    const bytes = roster.subarray(index * FragmentBytes, (index + 1) * FragmentBytes)
    return { type: 'roster', number, index, count, bytes }
  })
}

/** Puts a roster together again; pieces of a newer one displace those of an older. */
export class RosterAssembly {
  #current: { readonly of: RosterFragment; readonly pieces: Map<number, Uint8Array> } | undefined

  /** @returns the whole roster's bytes once every piece has come */
  add(fragment: RosterFragment): Uint8Array | undefined {
    const { number, index, count } = fragment
    const of = this.#current?.of
    if (of !== undefined && isNewer(of.number, number)) return undefined
    const isSame = of !== undefined && !isNewer(number, of.number) && of.count === count
    if (this.#current === undefined || !isSame) this.#current = { of: fragment, pieces: new Map() }
    const { pieces } = this.#current
    pieces.set(index, fragment.bytes)
    if (pieces.size < count) return undefined
    this.#current = undefined
    return concatenate(...Array.from({ length: count }, (_, at) => pieces.get(at) ?? new Uint8Array()))
  }
}

function writeNumber(bytes: Uint8Array, type: number, number: RosterNumber): void {
  const view = new DataView(bytes.buffer)
  view.setUint8(0, type)
  view.setUint32(1, number.term)
  view.setUint32(5, number.version)
}
