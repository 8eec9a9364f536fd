/**
 * Binding requests that are under way from several sockets, and what comes of each (RFC 5780 section 4). An answer
 * counts only with the right transaction id, at the right socket, and from exactly where it is expected.
 */
import { DecodeError } from '../../core/errors.js'
import { type Datagram, earliest, formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { readErrorCode, readMappedAddress } from '../stun/attributes.js'
import { readBindingSuccess } from '../stun/binding.js'
import { AttributeType, BehaviourAttributeType, Binding, TransactionIdBytes } from '../stun/constants.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type MessageClass,
} from '../stun/message.js'
import { isPlausible } from './plausible.js'

/** A datagram to send from one of several sockets, which are known by their number. */
export interface SocketDatagram extends Datagram {
  readonly socket: number
}

export interface Question {
  /** Which socket asks. */
  readonly socket: number
  readonly destination: SocketAddress
  readonly attributes?: readonly Attribute[]
  /** Where the answer is to come from; the destination by default. */
  readonly source?: SocketAddress
  /** Which socket the answer is to come to; the one that asks by default. */
  readonly answeredAt?: number
  /** A request to a socket of our own, which is no server: that it comes there is the answer. */
  readonly toOurselves?: boolean
  /** When it is sent again and, last, given up: ms from the beginning, ascending. */
  readonly schedule: readonly number[]
}

export type Answer =
  | {
      readonly type: 'answered'
      readonly mapped: SocketAddress
      /** OTHER-ADDRESS, where it is one that this server can have. */
      readonly other: SocketAddress | undefined
    }
  /** The question came to the socket of our own. */
  | { readonly type: 'arrived' }
  /** The server says no. `code` is that of RFC 8489 section 14.8, where it gives one. */
  | { readonly type: 'refused'; readonly code: number | undefined }
  /** It answers from where it was asked, or to where it was asked from, and should have from or to elsewhere. */
  | { readonly type: 'unchanged' }
  /** The mapped address is missing, or none that this server can see. */
  | { readonly type: 'implausible'; readonly mapped: SocketAddress | undefined }
  | { readonly type: 'silent' }

/** What was dropped, by reason. Numbers only grow. */
export interface QuestionsCounters {
  /** No whole STUN message, or one with a wrong FINGERPRINT. */
  malformed: number
  /** No question of ours has this transaction id, and asks for an answer from there to that socket. */
  unasked: number
  /** No response where a response is to come, or no request where a request is. */
  unexpected: number
}

interface Pending {
  readonly question: Question
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly startedAt: number
  readonly onAnswer: (now: number, answer: Answer) => void
  sent: number
  wakeAt: number
}

/** More are not under way at once; there is no way for a stranger to make it so many. */
const MaxPending = 64

export class Questions {
  readonly counters: Readonly<QuestionsCounters>
  readonly #counters: QuestionsCounters = { malformed: 0, unasked: 0, unexpected: 0 }
  readonly #random: Random
  readonly #pending = new Set<Pending>()
  readonly #transmits: SocketDatagram[] = []

  constructor(random: Random) {
    this.#random = random
    this.counters = this.#counters
  }

  get size(): number {
    return this.#pending.size
  }

  /** Sends a question at once. @param onAnswer called once, with what came of it */
  ask(now: number, question: Question, onAnswer: (now: number, answer: Answer) => void): void {
    if (this.#pending.size >= MaxPending) throw new Error('too many questions at once')
    const id = this.#random.bytes(TransactionIdBytes)
    const { attributes = [] } = question
    const bytes = encodeMessage({ class: 'request', method: Binding, transactionId: id, attributes })
    const pending = { question, id, bytes, startedAt: now, onAnswer, sent: 0, wakeAt: now }
    this.#pending.add(pending)
    this.#send(pending)
  }

  /** Gives up whatever is under way, without a word. */
  stop(): void {
    this.#pending.clear()
    this.#transmits.length = 0
  }

  handleDatagram(now: number, socket: number, source: SocketAddress, bytes: Uint8Array): void {
    const message = this.#decode(bytes)
    if (message === undefined) return
    const pending = this.#find(socket, source, message.transactionId)
    if (pending === undefined) {
      this.#counters.unasked += 1
      return
    }
    const answer = answerOf(pending.question, socket, source, message)
    if (answer === undefined) this.#counters.unexpected += 1
    else this.#conclude(now, pending, answer)
  }

  handleTimeout(now: number): void {
    for (const pending of this.#pending) {
      if (pending.wakeAt > now) continue
      if (pending.sent < pending.question.schedule.length) this.#send(pending)
      else this.#conclude(now, pending, { type: 'silent' })
    }
  }

  pollTransmit(): SocketDatagram | undefined {
    return this.#transmits.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...Array.from(this.#pending, ({ wakeAt }) => wakeAt))
  }

  #send(pending: Pending): void {
    const { socket, destination, schedule } = pending.question
    this.#transmits.push({ socket, destination, bytes: pending.bytes })
    pending.wakeAt = pending.startedAt + (schedule[pending.sent] ?? 0)
    pending.sent += 1
  }

  #conclude(now: number, pending: Pending, answer: Answer): void {
    this.#pending.delete(pending)
    pending.onAnswer(now, answer)
  }

  #find(socket: number, source: SocketAddress, transactionId: Uint8Array): Pending | undefined {
    for (const pending of this.#pending) {
      const { question, id } = pending
      if (!isSame(id, transactionId)) continue
      // A server that does not do what it is asked says so to whoever has asked, from where it was asked.
      const isRefusal = socket === question.socket && isAt(source, question.destination)
      const isAnswer = socket === (question.answeredAt ?? question.socket)
      const isFromThere =
        question.toOurselves === true || isAt(source, question.source ?? question.destination)
      if ((isAnswer && isFromThere) || (isRefusal && question.toOurselves !== true)) return pending
    }
    return undefined
  }

  #decode(bytes: Uint8Array): DecodedMessage | undefined {
    try {
      return decodeMessage(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
      return undefined
    }
  }
}

/** undefined for what is no answer to it. */
function answerOf(
  question: Question,
  socket: number,
  source: SocketAddress,
  message: DecodedMessage,
): Answer | undefined {
  const wanted: readonly MessageClass[] = question.toOurselves === true ? ['request'] : ['success', 'error']
  if (message.method !== Binding || !wanted.includes(message.class)) return undefined
  if (question.toOurselves === true) return { type: 'arrived' }
  if (message.class === 'error') {
    const value = findAttribute(message, AttributeType.ErrorCode)
    return { type: 'refused', code: value && readErrorCode(value)?.code }
  }
  const isElsewhere = socket !== (question.answeredAt ?? question.socket)
  if (isElsewhere || !isAt(source, question.source ?? question.destination)) return { type: 'unchanged' }
  const mapped = readBindingSuccess(message)
  if (mapped === undefined || !isPlausible(mapped, source)) return { type: 'implausible', mapped }
  return { type: 'answered', mapped, other: readOther(message, source) }
}

/** RFC 5780 section 7.4: another address and another port, or it is of no use. */
function readOther(message: DecodedMessage, server: SocketAddress): SocketAddress | undefined {
  const value = findAttribute(message, BehaviourAttributeType.OtherAddress)
  const other = value && readMappedAddress(value)
  if (other === undefined || !isPlausible(other, server)) return undefined
  return other.address === server.address || other.port === server.port ? undefined : other
}

function isAt(a: SocketAddress, b: SocketAddress): boolean {
  return formatSocketAddress(a) === formatSocketAddress(b)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
