/** Candidates (RFC 8445 section 5.1): where a peer may be reached, and how it is known. */
import ipaddr from 'ipaddr.js'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'

/**
 * `mapped` was asked of the router (PCP, NAT-PMP, UPnP), `predicted` is guessed from a NAT's habits; the
 * others are RFC 8445's.
 */
export type CandidateKind = 'host' | 'srflx' | 'prflx' | 'mapped' | 'predicted' | 'relay'

export interface Candidate {
  readonly kind: CandidateKind
  readonly address: SocketAddress
}

/** How many candidates a message can carry. */
export const MaxCandidates = 12

/** RFC 8445 section 5.1.2.2; what a router mapped or what was predicted counts as server-reflexive. */
const TypePreferences: Readonly<Record<CandidateKind, number>> = {
  host: 126,
  prflx: 110,
  srflx: 100,
  mapped: 100,
  predicted: 100,
  relay: 0,
}
const LocalPreference = 65_535
const Component = 1

/** The PRIORITY of RFC 8445 section 5.1.2.1, for one local address and component 1. */
export function candidatePriority(kind: CandidateKind): number {
  return 2 ** 24 * TypePreferences[kind] + 2 ** 8 * LocalPreference + (256 - Component)
}

/** What a path costs: 0 direct, 1 through NATs, 2 through a relay. Smaller is better. */
export function candidateClass(kind: CandidateKind): number {
  return kind === 'host' ? 0 : kind === 'relay' ? 2 : 1
}

/** `host 192.168.1.4:41641, srflx [2001:db8::1]:56112`: at most the first 12. */
export function formatCandidates(candidates: readonly Candidate[]): string {
  const texts = candidates.map(({ kind, address }) => `${kind} ${formatSocketAddress(address)}`)
  return texts.slice(0, MaxCandidates).join(', ')
}

/** Reads what `formatCandidates` writes, the empty text included, and nothing else: else undefined. */
export function parseCandidates(text: string): readonly Candidate[] | undefined {
  if (text === '') return []
  const parts = text.split(', ', MaxCandidates + 1)
  if (parts.length > MaxCandidates) return undefined
  const candidates: Candidate[] = []
  for (const part of parts) {
    const candidate = parseCandidate(part)
    if (candidate === undefined) return undefined
    candidates.push(candidate)
  }
  return candidates
}

/**
 * Whether checks may be sent there at all: a peer, whoever it is, shall not have them sent to groups, to this
 * machine, to its link, or through an address in disguise. A subnet's own broadcast address cannot be told
 * from here; sockets refuse it by themselves.
 * @param options `loopback`: whether this machine itself may be a target
 */
export function isUsableTarget({ address, port }: SocketAddress, options: { loopback: boolean }): boolean {
  if (port < 1 || port > 65_535 || !Number.isInteger(port)) return false
  const verdict = verdicts.get(address) ?? judge(address)
  return verdict === 'loopback' ? options.loopback : verdict === 'usable'
}

/**
 * Whether a relay is asked to send there: never into the private networks that it may be in.
 * @param options `loopback`: whether this machine itself may be a target; `relayed`: the relay's address for us
 */
export function isRelayTarget(
  target: SocketAddress,
  options: { readonly loopback: boolean; readonly relayed: SocketAddress },
): boolean {
  if (target.address.includes(':') !== options.relayed.address.includes(':')) return false
  if (!isUsableTarget(target, options)) return false
  const range = parseAddress(target.address)?.range() ?? 'unspecified'
  return range !== 'private' && range !== 'carrierGradeNat' && range !== 'uniqueLocal'
}

type Verdict = 'usable' | 'unusable' | 'loopback'

/** Each check and its answer ask again, and parsing takes longer than all else about them. */
const verdicts = new Map<string, Verdict>()
const MaxVerdicts = 4096

function judge(address: string): Verdict {
  const verdict = verdictOn(address)
  if (verdicts.size >= MaxVerdicts) verdicts.clear()
  verdicts.set(address, verdict)
  return verdict
}

function verdictOn(address: string): Verdict {
  const parsed = parseAddress(address)
  if (parsed === undefined) return 'unusable'
  const range = parsed.range()
  if (range === 'loopback') return 'loopback'
  // 240.0.0.0/4 is reserved for ever; ranges for documentation, which are reserved too, serve in labs.
  if (parsed instanceof ipaddr.IPv4 && (parsed.octets[0] ?? 0) >= 240) return 'unusable'
  // ::/96 once embedded IPv4 addresses too (RFC 4291 section 2.5.5.1).
  if (parsed instanceof ipaddr.IPv6 && parsed.parts.slice(0, 6).every((part) => part === 0)) {
    return 'unusable'
  }
  return RefusedRanges.has(range) ? 'unusable' : 'usable'
}

const RefusedRanges: ReadonlySet<string> = new Set([
  'unspecified',
  'multicast',
  'broadcast',
  'linkLocal',
  'ipv4Mapped',
  'rfc6145',
  'rfc6052',
  '6to4',
  'teredo',
])

function parseCandidate(text: string): Candidate | undefined {
  const [, kind = '', ipv4, ipv6, digits = ''] =
    /^([a-z]+) (?:([0-9.]{7,15})|\[([0-9a-f:]{2,39})\]):([1-9]\d{0,4}|0)$/.exec(text) ?? []
  const address = ipv4 ?? ipv6
  const port = Number(digits)
  if (!isCandidateKind(kind) || address === undefined || port > 65_535) return undefined
  const parsed = parseAddress(address)
  // Only the canonical text: it is the key by which addresses are compared.
  return parsed !== undefined && textOf(parsed) === address ? { kind, address: { address, port } } : undefined
}

function isCandidateKind(text: string): text is CandidateKind {
  return Object.hasOwn(TypePreferences, text)
}

function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  return !text.includes('%') && ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text) : undefined
}

function textOf(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}
