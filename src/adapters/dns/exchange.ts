/**
 * A question and its answer: over UDP, from a port of its own each time, so that nobody can guess where an
 * answer is awaited (RFC 5452); over TCP (RFC 7766) where the answer is truncated, the question is large, or
 * UDP does not get through.
 */
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { concatenate } from '../../core/encoding.js'
import { DecodeError, explain } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { abortable } from '../waiting.js'
import { Flag, Opcode, UdpPayloadBytes } from './constants.js'
import { failure, socketFailure } from './failure.js'
import { type Message, messageId, readMessage, viewOf } from './message.js'
import type { DnsServer } from './settings.js'

export interface Exchange<Answer> {
  readonly server: DnsServer
  readonly question: Uint8Array
  /**
   * Looks at an answer that fits the question's id.
   * @throws DecodeError for one that the server has not given: whoever forges answers must not end the wait
   */
  readonly accept: (message: Message, bytes: Uint8Array) => Answer
}

/** How long an answer over UDP is waited for, one attempt after the other. */
const UdpAttemptsMs = [1000, 1500]
const TcpTimeoutMs = 2500

/** @throws SignallingError `dns-unreachable`; whatever `accept` throws beside DecodeError; the signal's reason */
export async function exchange<Answer>(
  { server, question, accept }: Exchange<Answer>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted()
  let refusal: unknown
  /** Answers that were none, the last one's reason. */
  let odd: DecodeError | undefined
  const judge = (bytes: Uint8Array): { answer: Answer } | 'truncated' | undefined => {
    try {
      if (messageId(bytes) !== messageId(question)) return undefined
      const message = readMessage(bytes)
      checkFit(message, readMessage(question))
      if ((message.flags & Flag.TC) !== 0) return 'truncated'
      return { answer: accept(message, bytes) }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      odd = error
      return undefined
    }
  }
  if (question.length <= UdpPayloadBytes) {
    for (const timeoutMs of UdpAttemptsMs) {
      try {
        const result = await overUdp(server, question, judge, { clock, timeoutMs, signal })
        if (result === 'truncated') break
        if (result !== undefined) return result.answer
      } catch (error) {
        signal.throwIfAborted()
        if (!isSocketError(error)) throw error
        refusal = error
        break
      }
    }
  }
  try {
    const bytes = await overTcp(server, question, { clock, timeoutMs: TcpTimeoutMs, signal })
    const result = bytes && judge(bytes)
    if (result === 'truncated') throw failure('dns-unreachable', server.label, 'the answer is too large')
    if (result !== undefined) return result.answer
  } catch (error) {
    signal.throwIfAborted()
    if (!isSocketError(error)) throw error
    refusal ??= error
  }
  if (odd !== undefined) throw failure('dns-unreachable', server.label, explain(odd), odd)
  if (refusal !== undefined) throw socketFailure(server.label, refusal)
  throw failure('dns-unreachable', server.label, 'the server does not answer')
}

function isSocketError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

/** @throws DecodeError for an answer to something else */
function checkFit(answer: Message, question: Message): void {
  const [asked] = question.questions
  const [repeated, ...more] = answer.questions
  const isFit =
    (answer.flags & Flag.QR) !== 0 &&
    answer.opcode === question.opcode &&
    more.length === 0 &&
    // Some servers leave it out of errors, and of what they say to an update (RFC 2136 section 3.8).
    (repeated === undefined
      ? answer.rcode !== 0 || answer.opcode === Opcode.UPDATE
      : repeated.name === asked?.name && repeated.type === asked.type && repeated.class === asked.class)
  if (!isFit) throw new DecodeError('dns-answer-odd', 'the server answers something that was not asked')
}

interface Limits {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

async function overUdp<Result>(
  { address, port }: DnsServer,
  question: Uint8Array,
  judge: (bytes: Uint8Array) => Result | undefined,
  { clock, timeoutMs, signal }: Limits,
): Promise<Result | undefined> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  let cancel = (): void => undefined
  try {
    const answered = new Promise<Result | undefined>((resolve, reject) => {
      socket.on('error', reject)
      socket.on('message', (bytes) => {
        try {
          const result = judge(bytes)
          if (result !== undefined) resolve(result)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(explain(error)))
        }
      })
      cancel = clock.after(timeoutMs, () => {
        resolve(undefined)
      })
      // Connected, it hears of nobody else, and that nobody listens.
      socket.connect(port, address, (error?: Error) => {
        if (error !== undefined) reject(error)
        else if (!signal.aborted) socket.send(question)
      })
    })
    return await abortable(answered, signal)
  } finally {
    cancel()
    socket.removeAllListeners('message')
    socket.close()
  }
}

async function overTcp(
  { address, port }: DnsServer,
  question: Uint8Array,
  { clock, timeoutMs, signal }: Limits,
): Promise<Uint8Array | undefined> {
  const socket = connect({ host: address, port, noDelay: true })
  let cancel = (): void => undefined
  try {
    const answered = new Promise<Uint8Array | undefined>((resolve, reject) => {
      let received: Uint8Array = new Uint8Array(0)
      socket.on('error', reject)
      socket.on('close', () => {
        resolve(undefined)
      })
      socket.on('data', (bytes) => {
        received = concatenate(received, bytes)
        const length = received.length < 2 ? undefined : viewOf(received).getUint16(0)
        if (length !== undefined && received.length >= 2 + length) resolve(received.subarray(2, 2 + length))
      })
      cancel = clock.after(timeoutMs, () => {
        resolve(undefined)
      })
      socket.write(concatenate(Uint8Array.of(question.length >> 8, question.length & 255), question))
    })
    return await abortable(answered, signal)
  } finally {
    cancel()
    socket.destroy()
  }
}
