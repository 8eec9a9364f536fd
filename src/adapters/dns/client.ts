/** Asks DNS servers: plainly, signed, and for updates. */
import { concatenate } from '../../core/encoding.js'
import { DecodeError, type SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { Class, Opcode, Rcode, Type } from './constants.js'
import { exchange } from './exchange.js'
import { failure, rcodeName } from './failure.js'
import { type Message, type RecordFields, viewOf, writeQuery, writeRecord } from './message.js'
import { nameBytes } from './names.js'
import type { DnsServer } from './settings.js'
import { claimedTsigError, signMessage, type TsigKey, verifyAnswer } from './tsig.js'

export interface ClientOptions {
  readonly clock: Clock
  readonly random: Random
  /** What the time is, in ms since 1970: signatures and expiries in a zone name it. */
  readonly unixMs: () => number
}

interface Judged {
  readonly message: Message
  readonly tsigError: number
}

/** Below it, what the server says of the time tells nothing: it has whole seconds, and the way takes time. */
const LeastSkewMs = 5000

export class DnsClient {
  readonly #options: ClientOptions
  /** What the server's clock is ahead of ours, as far as it has signed it. */
  #aheadMs = 0

  constructor(options: ClientOptions) {
    this.#options = options
  }

  /** ms since 1970, by the server's clock where it is known. */
  get unixMs(): number {
    return this.#options.unixMs() + this.#aheadMs
  }

  /**
   * @param key signs the question; then the answer has to be signed too
   * @returns an answer of any RCODE but those that say that we may not ask, or that the server cannot answer
   * @throws SignallingError `dns-unreachable`, `dns-refused`
   */
  async query(
    server: DnsServer,
    name: string,
    type: 'TXT' | 'SOA',
    signal: AbortSignal,
    key?: TsigKey,
  ): Promise<Message> {
    const { message, tsigError } = await this.#ask(server, writeQuery(this.#id(), name, type), key, signal)
    if (tsigError !== 0) throw tsigFailure(server, key, tsigError)
    switch (message.rcode) {
      case Rcode.NOERROR:
      case Rcode.NXDOMAIN:
        return message
      case Rcode.SERVFAIL:
        throw failure('dns-unreachable', server.label, 'it cannot answer now (SERVFAIL)')
      case Rcode.REFUSED:
        throw failure('dns-refused', server.label, 'it does not answer us about this zone (REFUSED)')
      default:
        throw failure('dns-refused', server.label, `it answers ${rcodeName(message.rcode)}`)
    }
  }

  /**
   * Changes a zone: all of it, or nothing (RFC 2136 section 3.7).
   * @throws SignallingError `dns-unreachable`, `dns-refused`
   */
  async update(
    server: DnsServer,
    zone: string,
    changes: readonly RecordFields[],
    signal: AbortSignal,
    key: TsigKey | undefined,
  ): Promise<void> {
    const question = writeUpdate(this.#id(), zone, changes)
    const { message, tsigError } = await this.#ask(server, question, key, signal)
    if (tsigError !== 0) throw tsigFailure(server, key, tsigError)
    if (message.rcode !== Rcode.NOERROR) throw updateFailure(server, zone, key, message.rcode)
  }

  async #ask(
    server: DnsServer,
    question: Uint8Array,
    key: TsigKey | undefined,
    signal: AbortSignal,
  ): Promise<Judged> {
    const { clock } = this.#options
    if (key === undefined) {
      const accept = (message: Message): Judged => ({ message, tsigError: 0 })
      return exchange({ server, question, accept }, clock, signal)
    }
    const first = await this.#askSigned(server, question, key, signal)
    // The server has signed what time it is: with that it takes the question.
    return first.tsigError === Rcode.BADTIME ? this.#askSigned(server, question, key, signal) : first
  }

  #askSigned(server: DnsServer, question: Uint8Array, key: TsigKey, signal: AbortSignal): Promise<Judged> {
    const signed = signMessage(question, key, Math.floor(this.unixMs / 1000))
    const accept = (message: Message, bytes: Uint8Array): Judged => {
      const now = Math.floor(this.unixMs / 1000)
      const verified = verifyAnswer(bytes, message, key, signed.mac, now)
      if (verified !== undefined) {
        this.#learnTime(verified.serverSeconds)
        return { message, tsigError: verified.error }
      }
      // What refuses the key cannot be signed with it.
      if (message.rcode === Rcode.NOERROR) {
        throw new DecodeError('dns-tsig-missing', 'the answer is not signed, though the question was')
      }
      return { message, tsigError: claimedTsigError(message) }
    }
    return exchange({ server, question: signed.bytes, accept }, this.#options.clock, signal)
  }

  #learnTime(serverSeconds: number): void {
    const aheadMs = serverSeconds * 1000 - this.#options.unixMs()
    this.#aheadMs = Math.abs(aheadMs) < LeastSkewMs ? 0 : aheadMs
  }

  #id(): number {
    return viewOf(this.#options.random.bytes(2)).getUint16(0)
  }
}

/** RFC 2136 section 2: the zone, no prerequisites, the changes in order. */
export function writeUpdate(id: number, zone: string, changes: readonly RecordFields[]): Uint8Array {
  const header = new Uint8Array(12)
  const view = viewOf(header)
  view.setUint16(0, id)
  view.setUint16(2, Opcode.UPDATE << 11)
  view.setUint16(4, 1)
  view.setUint16(8, changes.length)
  const zoneSection = concatenate(nameBytes(zone), Uint8Array.of(0, Type.SOA, 0, Class.IN))
  return concatenate(header, zoneSection, ...changes.map(writeRecord))
}

function tsigFailure(server: DnsServer, key: TsigKey | undefined, error: number): SignallingError {
  const name = key?.name ?? ''
  switch (error) {
    case Rcode.BADKEY:
      return failure(
        'dns-refused',
        server.label,
        `the server does not know the TSIG key ${name}, or not with ${key?.algorithm ?? ''} (BADKEY; adapters.dns.tsig)`,
      )
    case Rcode.BADSIG:
      return failure(
        'dns-refused',
        server.label,
        `wrong secret for the TSIG key ${name} (BADSIG; adapters.dns.tsig)`,
      )
    case Rcode.BADTIME:
      return failure('dns-refused', server.label, "our clock and the server's differ too much (BADTIME)")
    default:
      return failure(
        'dns-refused',
        server.label,
        `the server does not take our signature (TSIG error ${error})`,
      )
  }
}

function updateFailure(
  server: DnsServer,
  zone: string,
  key: TsigKey | undefined,
  rcode: number,
): SignallingError {
  switch (rcode) {
    case Rcode.REFUSED:
      return failure(
        'dns-refused',
        server.label,
        key === undefined
          ? `the server takes no update of ${zone} without a key (REFUSED; adapters.dns.tsig)`
          : `the server does not let the TSIG key ${key.name} change this in ${zone} (REFUSED)`,
      )
    case Rcode.NOTAUTH:
    case Rcode.NOTZONE:
      return failure('dns-refused', server.label, wrongZone(zone, rcodeName(rcode)))
    case Rcode.NOTIMP:
      return failure('dns-refused', server.label, 'the server takes no updates at all (NOTIMP)')
    case Rcode.SERVFAIL:
      return failure(
        'dns-unreachable',
        server.label,
        `the server failed to change ${zone} (SERVFAIL): its log says why; perhaps it cannot write the zone's files`,
      )
    default:
      return failure('dns-refused', server.label, `the server answers an update with ${rcodeName(rcode)}`)
  }
}

export function wrongZone(zone: string, answer: string): string {
  return `${zone} is no zone of this server (${answer}; adapters.dns.zone and .server)`
}
