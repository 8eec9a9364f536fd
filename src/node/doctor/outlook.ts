/** What paths this machine will have to others, by what their NATs do, and what that takes. */
import { CommonSides, type Outcome, predictOutcome, type Side } from '../../transports/nat/prediction.js'
import type { TurnTransport } from '../../transports/turn/turn-url.js'
import type { Config } from '../config/schema.js'
import type { Sides } from './nat.js'
import type { Row } from './row.js'

export interface OutlookInput {
  readonly sides: Sides
  /** Whether the router forwards an IPv4 port. */
  readonly isMapped: boolean
  /** Of the TURN servers that give a relay. */
  readonly relays: readonly TurnTransport[]
  readonly policy: Config['transport']['policy']
}

const Order: readonly Outcome[] = ['direct', 'direct by search', 'relay', 'relay over tcp']
/** What a forwarded port makes of any NAT that lets UDP out. */
const Forwarded: Side = {
  mapping: 'endpoint-independent',
  filtering: 'endpoint-independent',
  isPredictable: true,
}
const NeedsRelay = 'Name a TURN server in transport.turn, on one side or on both'
const NeedsTcpRelay =
  'Whoever has no UDP needs a TURN server over TCP or TLS in transport.turn, such as turns:host:443'

/** A row for each kind of NAT that the other may have: a warning where no path is to be had as things are. */
export function outlookRows(input: OutlookInput): readonly Row[] {
  const { sides, policy } = input
  if (policy !== 'relay' && sides.ipv4 === undefined && sides.ipv6 === undefined) {
    return [{ what: 'paths', state: 'skipped', detail: 'not known without an answer of a STUN server' }]
  }
  return Object.entries(CommonSides).map(([name, other]) => rowFor(`path to ${name}`, other, input))
}

function rowFor(what: string, other: Side, input: OutlookInput): Row {
  const { sides, isMapped, policy } = input
  if (policy === 'relay') return relayRow(what, other === 'no UDP' ? 'relay over tcp' : 'relay', input)
  const plain = outcomeTo(sides.ipv4, other)
  const ipv4 = isMapped && sides.ipv4 !== 'no UDP' ? outcomeTo(Forwarded, other) : plain
  const ipv6 = outcomeTo(sides.ipv6, other)
  const first = ipv4 ?? ipv6
  if (first === undefined) return { what, state: 'skipped', detail: 'unknown' }
  const because = plain !== undefined && isBetter(ipv4, plain) ? ', by the forwarded port' : ''
  const row = first.startsWith('direct')
    ? { what, state: 'ok' as const, detail: `${first}${because}`, facts: { outcome: first } }
    : relayRow(what, first, input)
  if (ipv4 === undefined) return { ...row, detail: `${row.detail}; over IPv6 only` }
  if (ipv6 === undefined || !isBetter(ipv6, ipv4)) return row
  return { ...row, detail: `${row.detail}; ${ipv6} where both have IPv6` }
}

function relayRow(
  what: string,
  outcome: Outcome,
  { relays, policy, sides: { ipv4, ipv6 } }: OutlookInput,
): Row {
  const facts = { outcome }
  if (policy === 'direct') {
    const detail = `none: it takes a ${outcome}, and transport.policy is direct`
    return { what, state: 'warn', detail, advice: 'Set transport.policy to all', facts }
  }
  const isOverTcp = outcome === 'relay over tcp'
  const fit = isOverTcp ? relays.filter((each) => each !== 'udp') : relays
  if (fit.length > 0) {
    const isOurs = ipv4 === 'no UDP' || (ipv4 === undefined && ipv6 === 'no UDP')
    const both = isOverTcp && !isOurs ? ', where the other has such a server too' : ''
    return { what, state: 'ok', detail: `${outcome}${both}`, facts }
  }
  const lacking = isOverTcp ? 'no TURN server over TCP or TLS gives one' : 'no TURN server gives one'
  const advice = isOverTcp ? NeedsTcpRelay : NeedsRelay
  return { what, state: 'warn', detail: `none: it takes a ${outcome}, and ${lacking}`, advice, facts }
}

function outcomeTo(side: Side | undefined, other: Side): Outcome | undefined {
  return side === undefined ? undefined : predictOutcome(side, other)
}

function isBetter(one: Outcome | undefined, other: Outcome): boolean {
  return one !== undefined && Order.indexOf(one) < Order.indexOf(other)
}
