/**
 * Asks the router to forward a UDP port to this machine: by PCP (RFC 6887), or by NAT-PMP (RFC 6886) where it
 * speaks that only. Renews the mapping, and makes it anew where the router has forgotten it. Sans-IO
 * (src/core/machine.ts).
 */
import { DecodeError } from '../../core/errors.js'
import { type Datagram, earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import {
  MinRenewalMs,
  NatPmpOpcode,
  NatPmpResultNames,
  NatPmpVersion,
  NonceBytes,
  PcpOpcode,
  PcpResultNames,
  ServerPort,
  Success,
  UdpProtocol,
  UnsupportedVersion,
} from './constants.js'
import { Epoch } from './epoch.js'
import { isExternalAddress } from './external-address.js'
import {
  decodeNatPmpResponse,
  encodeNatPmpExternalAddressRequest,
  encodeNatPmpMapRequest,
  type NatPmpResponse,
} from './nat-pmp.js'
import { decodePcpResponse, encodePcpAnnounceRequest, encodePcpMapRequest, type PcpResponse } from './pcp.js'
import type {
  PortMapperCounters,
  PortMapperEvent,
  PortMappingFailed,
  PortMappingProtocol,
} from './port-mapper-events.js'
import { AnnouncementSpreadMs, MaxLifetimeMs, MaxRestMs, ProbeMs, RestMs, WaitsMs } from './timing.js'

export interface PortMapperOptions {
  readonly random: Random
  /** The router's address on this machine's network, as sockets give it as a source. */
  readonly gateway: string
  /** This machine's address on that network, from which the datagrams go. With IPv6, PCP alone is asked. */
  readonly clientAddress: string
  /** The UDP port to map. The datagrams to the router may come from any. */
  readonly internalPort: number
  /** How long a mapping is asked for, in ms. Default two hours (RFC 6886 section 3.3). */
  readonly lifetimeMs?: number
}

/** A question under way, to map or to delete. */
interface Attempt {
  readonly lifetimeSeconds: number
  sent: number
  wakeAt: number
  /** The halves of NAT-PMP's answer. */
  address?: string
  granted?: { readonly port: number; readonly lifetimeSeconds: number }
}

interface Mapping {
  readonly external: SocketAddress
  readonly expiresAt: number
  renewAt: number
  probeAt: number
}

export class PortMapper implements Machine<PortMapperEvent, Datagram> {
  readonly counters: Readonly<PortMapperCounters>
  readonly #counters: PortMapperCounters = { foreign: 0, malformed: 0, unexpected: 0 }
  readonly #options: PortMapperOptions
  readonly #nonce: Uint8Array
  readonly #epoch = new Epoch()
  readonly #transmits: Datagram[] = []
  readonly #events: PortMapperEvent[] = []
  #phase: 'idle' | 'running' | 'closing' | 'closed' = 'idle'
  #protocol: PortMappingProtocol = 'pcp'
  #attempt: Attempt | undefined
  #mapping: Mapping | undefined
  #restUntil: number | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #isProbing = false
  /** The last mapping's, to be had again. */
  #suggested: SocketAddress

  constructor(options: PortMapperOptions) {
    this.#options = options
    const { clientAddress, internalPort, random } = options
    this.#nonce = random.bytes(NonceBytes)
    this.#suggested = { address: clientAddress.includes(':') ? clientAddress : '0.0.0.0', port: internalPort }
    this.counters = this.#counters
  }

  /** Asks, at once. Does nothing where it has begun already. */
  start(now: number): void {
    if (this.#phase !== 'idle') return
    this.#phase = 'running'
    this.#ask(now)
  }

  /** Deletes the mapping; `closed` follows within a second. Idempotent. */
  close(now: number): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return
    this.#transmits.length = 0
    const isAsking = this.#attempt !== undefined && this.#mapping === undefined
    const hasMapping = this.#mapping !== undefined
    this.#attempt = undefined
    this.#restUntil = undefined
    this.#phase = 'closing'
    if (hasMapping) this.#begin(now, 0)
    else {
      // The answer may be on its way: what it gives is taken back unheard.
      if (isAsking) this.#sendMapRequest(0)
      this.#end()
    }
  }

  /** Takes what came from the router. @returns false for what came from somewhere else */
  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): boolean {
    if (!this.#isRouter(source)) return false
    const response = this.#decode(bytes)
    if (response === undefined || this.#phase === 'idle' || this.#phase === 'closed') return true
    if ('type' in response) this.#handleNatPmp(now, response)
    else this.#handlePcp(now, response)
    return true
  }

  /**
   * Takes what came to the announcements' port (RFC 6887 section 14.1, RFC 6886 section 3.2.1). It says at most
   * that the router has lost its state, which makes this ask again soon.
   */
  handleAnnouncement(now: number, source: SocketAddress, bytes: Uint8Array): void {
    if (!this.#isRouter(source)) return
    const response = this.#decode(bytes)
    if (response === undefined || this.#phase !== 'running') return
    const soon = Math.max(
      now + AnnouncementSpreadMs * this.#options.random.fraction(),
      this.#askedAt + MinRenewalMs,
    )
    if (this.#restUntil !== undefined) this.#restUntil = Math.min(this.#restUntil, soon)
    if (this.#mapping === undefined) return
    const isPcp = !('type' in response)
    // Its epoch is the other protocol's: the router is asked for the one that can be compared.
    if (isPcp !== (this.#protocol === 'pcp')) this.#mapping.probeAt = Math.min(this.#mapping.probeAt, soon)
    else if (this.#hasLostState(now, response)) this.#mapping.renewAt = Math.min(this.#mapping.renewAt, soon)
  }

  handleTimeout(now: number): void {
    if (this.#attempt !== undefined && this.#attempt.wakeAt <= now) {
      if (this.#attempt.sent < WaitsMs[this.#protocol].length) this.#send(now, this.#attempt)
      else this.#handleSilence(now)
    }
    const mapping = this.#mapping
    if (mapping !== undefined && this.#phase === 'running') {
      if (mapping.expiresAt <= now) {
        this.#lose()
        this.#ask(now)
      } else if (this.#attempt === undefined && mapping.renewAt <= now) {
        this.#begin(now, this.#lifetimeSeconds)
      } else if (mapping.probeAt <= now) {
        this.#probe(now, mapping)
      }
    }
    if (this.#restUntil !== undefined && this.#restUntil <= now) this.#ask(now)
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): PortMapperEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const mapping = this.#phase === 'running' ? this.#mapping : undefined
    const renewAt = this.#attempt === undefined ? mapping?.renewAt : undefined
    return earliest(this.#attempt?.wakeAt, this.#restUntil, mapping?.expiresAt, renewAt, mapping?.probeAt)
  }

  get #lifetimeSeconds(): number {
    return Math.ceil((this.#options.lifetimeMs ?? 7_200_000) / 1000)
  }

  #isRouter({ address, port }: SocketAddress): boolean {
    if (address === this.#options.gateway && port === ServerPort) return true
    this.#counters.foreign += 1
    return false
  }

  #decode(bytes: Uint8Array): PcpResponse | NatPmpResponse | undefined {
    try {
      return bytes[0] === NatPmpVersion ? decodeNatPmpResponse(bytes) : decodePcpResponse(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
      return undefined
    }
  }

  #handlePcp(now: number, response: PcpResponse): void {
    const { opcode, resultCode, lifetimeSeconds, map } = response
    if (opcode === PcpOpcode.Announce && this.#isProbing && this.#protocol === 'pcp') {
      this.#isProbing = false
      if (resultCode === Success && this.#hasLostState(now, response)) this.#renew(now)
      return
    }
    const isOurs =
      map !== undefined &&
      map.protocol === UdpProtocol &&
      map.internalPort === this.#options.internalPort &&
      map.nonce.every((byte, index) => byte === this.#nonce[index])
    // An error may have left out what it answers. Our own mapping may be changed unasked (section 14.2).
    const isAnswer = isOurs || (map === undefined && resultCode !== Success && this.#attempt !== undefined)
    if (!isAnswer || (this.#attempt === undefined && this.#mapping === undefined)) {
      this.#counters.unexpected += 1
    } else if (this.#phase === 'closing') {
      this.#end()
    } else if (resultCode === UnsupportedVersion) {
      this.#fallBack(now)
    } else if (resultCode !== Success) {
      this.#fail(now, 'refused', { result: nameOf(PcpResultNames, resultCode) }, lifetimeSeconds * 1000)
    } else if (map !== undefined) {
      if (this.#protocol !== 'pcp') this.#epoch.forget()
      this.#protocol = 'pcp'
      this.#epoch.handlePcp(now, response.epochSeconds)
      this.#handleMapped(now, map.external, lifetimeSeconds)
    }
  }

  #handleNatPmp(now: number, response: NatPmpResponse): void {
    const attempt = this.#attempt
    if (attempt !== undefined && this.#protocol === 'pcp') {
      // How a router that knows NAT-PMP only refuses PCP (RFC 6887 appendix A).
      const isRefusal = response.type === 'error' && response.resultCode === UnsupportedVersion
      if (!isRefusal) this.#counters.unexpected += 1
      else if (this.#phase === 'closing') this.#end()
      else this.#fallBack(now)
    } else if (response.type === 'external-address' && this.#isProbing && attempt === undefined) {
      this.#isProbing = false
      const hasMoved = response.address !== this.#mapping?.external.address
      if (this.#hasLostState(now, response) || hasMoved) this.#renew(now)
    } else if (attempt === undefined || !this.#isAnswered(response)) {
      this.#counters.unexpected += 1
    } else if (this.#phase === 'closing') {
      if (response.type !== 'external-address') this.#end()
    } else if (response.type === 'error') {
      this.#fail(now, 'refused', { result: nameOf(NatPmpResultNames, response.resultCode) })
    } else {
      this.#epoch.handleNatPmp(now, response.epochSeconds)
      if (response.type === 'external-address') attempt.address = response.address
      else attempt.granted = { port: response.externalPort, lifetimeSeconds: response.lifetimeSeconds }
      const { address, granted } = attempt
      if (address === undefined || granted === undefined) return
      this.#handleMapped(now, { address, port: granted.port }, granted.lifetimeSeconds)
    }
  }

  #isAnswered(response: NatPmpResponse): boolean {
    if (response.type === 'mapping') return response.internalPort === this.#options.internalPort
    if (response.type === 'external-address') return true
    return response.opcode === NatPmpOpcode.ExternalAddress || response.opcode === NatPmpOpcode.MapUdp
  }

  #hasLostState(now: number, response: PcpResponse | NatPmpResponse): boolean {
    return 'type' in response
      ? this.#epoch.handleNatPmp(now, response.epochSeconds)
      : this.#epoch.handlePcp(now, response.epochSeconds)
  }

  #handleMapped(now: number, external: SocketAddress, lifetimeSeconds: number): void {
    const lifetimeMs = Math.min(lifetimeSeconds * 1000, MaxLifetimeMs)
    if (lifetimeMs < 2 * MinRenewalMs) {
      this.#fail(now, 'refused', { result: `a lifetime of ${lifetimeSeconds} s` })
    } else if (!isExternalAddress(external)) {
      // It is of no use: nothing stays behind on the router.
      this.#sendMapRequest(0)
      this.#fail(now, 'double-nat', { external })
    } else {
      const before = this.#mapping?.external
      this.#attempt = undefined
      this.#isProbing = false
      this.#suggested = external
      const times = { expiresAt: now + lifetimeMs, renewAt: now + lifetimeMs / 2, probeAt: now + ProbeMs }
      this.#mapping = { external, ...times }
      if (before?.address === external.address && before.port === external.port) return
      this.#events.push({ type: 'mapped', external, protocol: this.#protocol, lifetimeMs })
    }
  }

  /** Asks in the first protocol, as if nothing were known. */
  #ask(now: number): void {
    this.#restUntil = undefined
    this.#protocol = 'pcp'
    this.#epoch.forget()
    this.#begin(now, this.#lifetimeSeconds)
  }

  #renew(now: number): void {
    if (this.#attempt === undefined && this.#mapping !== undefined) this.#begin(now, this.#lifetimeSeconds)
  }

  #begin(now: number, lifetimeSeconds: number): void {
    this.#attempt = { lifetimeSeconds, sent: 0, wakeAt: now }
    this.#send(now, this.#attempt)
  }

  #send(now: number, attempt: Attempt): void {
    if (this.#protocol === 'nat-pmp' && attempt.lifetimeSeconds > 0 && attempt.address === undefined) {
      this.#transmit(encodeNatPmpExternalAddressRequest())
    }
    if (attempt.granted === undefined) this.#sendMapRequest(attempt.lifetimeSeconds)
    attempt.wakeAt = now + (WaitsMs[this.#protocol][attempt.sent] ?? 0)
    attempt.sent += 1
    this.#askedAt = now
  }

  #sendMapRequest(lifetimeSeconds: number): void {
    const { clientAddress, internalPort } = this.#options
    const isDeletion = lifetimeSeconds === 0
    if (this.#protocol === 'nat-pmp') {
      const port = isDeletion ? 0 : this.#suggested.port
      this.#transmit(encodeNatPmpMapRequest(internalPort, port, lifetimeSeconds))
    } else {
      const suggested = isDeletion ? undefined : this.#suggested
      const nonce = this.#nonce
      this.#transmit(encodePcpMapRequest({ clientAddress, nonce, lifetimeSeconds, internalPort, suggested }))
    }
  }

  #probe(now: number, mapping: Mapping): void {
    mapping.probeAt = now + ProbeMs
    this.#askedAt = now
    this.#isProbing = true
    const isPcp = this.#protocol === 'pcp'
    this.#transmit(
      isPcp ? encodePcpAnnounceRequest(this.#options.clientAddress) : encodeNatPmpExternalAddressRequest(),
    )
  }

  #transmit(bytes: Uint8Array): void {
    this.#transmits.push({ destination: { address: this.#options.gateway, port: ServerPort }, bytes })
  }

  #handleSilence(now: number): void {
    this.#attempt = undefined
    if (this.#phase === 'closing') this.#end()
    else if (this.#mapping !== undefined) {
      // Half of what remains, each time (RFC 6887 section 11.2.1).
      this.#mapping.renewAt = now + Math.max(MinRenewalMs, (this.#mapping.expiresAt - now) / 2)
    } else if (this.#protocol === 'pcp') this.#fallBack(now)
    else this.#fail(now, 'no-answer')
  }

  #fallBack(now: number): void {
    this.#lose()
    if (this.#protocol === 'nat-pmp') return
    // NAT-PMP knows IPv4 only.
    if (this.#options.clientAddress.includes(':')) {
      this.#fail(now, 'no-answer')
      return
    }
    this.#protocol = 'nat-pmp'
    this.#epoch.forget()
    this.#begin(now, this.#lifetimeSeconds)
  }

  #fail(
    now: number,
    reason: PortMappingFailed['reason'],
    details: Pick<PortMappingFailed, 'result' | 'external'> = {},
    restMs = 0,
  ): void {
    this.#lose()
    this.#attempt = undefined
    const wanted = Math.min(Math.max(RestMs, restMs), MaxRestMs)
    this.#restUntil = now + wanted * (0.9 + 0.2 * this.#options.random.fraction())
    this.#events.push({ type: 'failed', reason, ...details })
  }

  #lose(): void {
    if (this.#mapping === undefined) return
    this.#mapping = undefined
    this.#isProbing = false
    this.#events.push({ type: 'lost' })
  }

  #end(): void {
    this.#phase = 'closed'
    this.#attempt = undefined
    this.#mapping = undefined
    this.#events.push({ type: 'closed' })
  }
}

function nameOf(names: readonly string[], resultCode: number): string {
  return names[resultCode] ?? `result ${resultCode}`
}
