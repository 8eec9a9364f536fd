/**
 * A small STUN server (RFC 8489, Binding over UDP), for a private group and for tests: who asks is told where it
 * was seen. It is meant to stand in the open: it keeps nothing of anybody, and is no use to whoever forges
 * sources, since an answer is hardly larger than its question and each source gets a few a second.
 */
import { createSocket, type Socket } from 'node:dgram'
import ipaddr from 'ipaddr.js'
import { Counters, TokenBucket } from '../core/bounded.js'
import { DecodeError, UsageError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import type { Clock } from '../core/ports.js'
import {
  errorCodeAttribute,
  softwareAttribute,
  unknownAttributesAttribute,
  xorMappedAddressAttribute,
} from '../transports/stun/attributes.js'
import { unknownAttributes } from '../transports/stun/binding.js'
import { Binding, UnknownAttributeError } from '../transports/stun/constants.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
} from '../transports/stun/message.js'
import { systemClock } from './clock.js'

export interface StunServerLimits {
  /** Answers to one source (an IPv6 /64) a second, 20 by default, and as many at once. */
  readonly answersPerSource?: number
  /** Answers in all a second, 5,000 by default, and as many at once. */
  readonly answersPerSecond?: number
  /** Sources that are told apart, 4,096 by default; one that was not heard for long begins anew. */
  readonly maxSources?: number
  readonly clock?: Clock
}

export interface StunServer {
  /** Where it listens, with the port that the system chose. */
  readonly address: SocketAddress
  /** What was answered and what was dropped, by reason. */
  readonly counters: Pick<Counters, 'get' | 'entries'>
  /** Idempotent. */
  close(): Promise<void>
}

/** Room for bursts. The kernel grants what its limits allow. */
const BufferBytes = 1024 * 1024
/** How much larger an answer may be than its question, as packets: SOFTWARE is left out where it is too much. */
const MaxGrowth = 2
/** IPv4 and UDP. */
const PacketHeaderBytes = 28
/** More of them than this in one 420 would make it larger than its question was. */
const MaxUnknownAttributes = 8
/** How much of a source's name counts: a network of IPv6 has more addresses than a table has room. */
const Ipv6NetworkBytes = 8

/**
 * @param listen port 0 lets the system choose
 * @throws UsageError `listen-failed` where the address cannot be listened on
 */
export async function serveStun(listen: SocketAddress, limits: StunServerLimits = {}): Promise<StunServer> {
  const { clock = systemClock } = limits
  const counters = new Counters()
  const guard = new Guard(limits)
  const socket = await bind(listen)
  socket.on('message', (bytes, { address, port }) => {
    const source = { address: withoutZone(address), port }
    const answer = answerTo(bytes, source, counters)
    if (answer === undefined) return
    if (!guard.admits(source.address, clock.now())) {
      counters.count('limited')
      return
    }
    counters.count('answered')
    try {
      // With its zone, where a link-local address has one.
      socket.send(answer, port, address, () => undefined)
    } catch {
      // Whoever sends from port 0 gets no answer.
    }
  })
  let closing: Promise<void> | undefined
  const { address, port } = socket.address()
  return {
    address: { address, port },
    counters,
    close: () => {
      closing ??= new Promise((resolve) => {
        socket.close(() => {
          resolve()
        })
      })
      return closing
    },
  }
}

/** The answer to a datagram; undefined for one that gets none, which is counted. */
function answerTo(bytes: Uint8Array, source: SocketAddress, counters: Counters): Uint8Array | undefined {
  let request: DecodedMessage
  try {
    request = decodeMessage(bytes)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    counters.count('malformed')
    return undefined
  }
  // An answer to an answer could go back and forth between two servers for ever.
  if (request.class !== 'request' || request.method !== Binding) {
    counters.count('unexpected')
    return undefined
  }
  const { transactionId } = request
  const unknown = unknownAttributes(request)
  const wanted: readonly Attribute[] =
    unknown.length === 0
      ? [xorMappedAddressAttribute(source, transactionId)]
      : [
          errorCodeAttribute({ code: UnknownAttributeError, reason: 'Unknown Attribute' }),
          unknownAttributesAttribute(unknown.slice(0, MaxUnknownAttributes)),
        ]
  const encode = (attributes: readonly Attribute[]): Uint8Array =>
    encodeMessage(
      { class: unknown.length === 0 ? 'success' : 'error', method: Binding, transactionId, attributes },
      { fingerprint: true },
    )
  const answer = encode([...wanted, softwareAttribute('gonet')])
  const isModest = answer.length + PacketHeaderBytes <= MaxGrowth * (bytes.length + PacketHeaderBytes)
  return isModest ? answer : encode(wanted)
}

/** Who may be answered. */
class Guard {
  readonly #all: TokenBucket
  readonly #sources = new Map<string, TokenBucket>()
  readonly #perSource: number
  readonly #maxSources: number

  constructor({ answersPerSource = 20, answersPerSecond = 5000, maxSources = 4096 }: StunServerLimits) {
    this.#all = new TokenBucket(answersPerSecond, answersPerSecond)
    this.#perSource = answersPerSource
    this.#maxSources = maxSources
  }

  admits(address: string, now: number): boolean {
    const name = networkOf(address)
    const bucket = this.#sources.get(name) ?? new TokenBucket(this.#perSource, this.#perSource)
    this.#sources.delete(name)
    this.#sources.set(name, bucket)
    if (this.#sources.size > this.#maxSources) {
      const [oldest] = this.#sources.keys()
      if (oldest !== undefined) this.#sources.delete(oldest)
    }
    return bucket.take(now) && this.#all.take(now)
  }
}

function networkOf(address: string): string {
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4'
    ? parsed.toString()
    : parsed.toByteArray().slice(0, Ipv6NetworkBytes).join('.')
}

/** An IPv4 source of a socket for both families is one of IPv4 (RFC 8489 section 14.1 has no mapped ones). */
function withoutZone(address: string): string {
  return ipaddr.process(address.replace(/%.*/, '')).toString()
}

async function bind({ address, port }: SocketAddress): Promise<Socket> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(
        new UsageError('listen-failed', `Cannot listen on ${formatSocketAddress({ address, port })}`, {
          advice: 'Choose another address or port with --listen',
          cause: error,
        }),
      )
    })
    socket.bind({ port, address }, () => {
      resolve()
    })
  })
  socket.removeAllListeners('error')
  // Errors of later sends are the network's way of losing a datagram.
  socket.on('error', () => undefined)
  try {
    socket.setRecvBufferSize(BufferBytes)
  } catch {
    // The default serves a small group.
  }
  return socket
}
