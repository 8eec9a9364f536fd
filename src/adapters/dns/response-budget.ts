/**
 * What we send over UDP to addresses that nobody has proved: bounded, so that a server of ours is no use to
 * whoever asks in a victim's name. Over TCP everybody has proved theirs.
 */
import { TokenBucket } from '../../core/bounded.js'
import { BoundedMap } from '../shared/bounded-map.js'

export type Verdict = 'send' | 'truncate' | 'drop'

/** Answers that are not much larger than their questions: one resolver may ask for many, some five for each name. */
const AnswersPerSecond = 2_000
const AnswersBurst = 10_000
/** Bytes of larger ones. */
const BytesPerSecond = 32_768
const BytesBurst = 262_144
const AllBytesPerSecond = 1_048_576
const AllBytesBurst = 4_194_304
const MaxSources = 4096

interface Budget {
  readonly answers: TokenBucket
  readonly bytes: Allowance
  slip: boolean
}

export class ResponseBudget {
  readonly #sources = new BoundedMap<string, Budget>(MaxSources)
  readonly #all = new Allowance(AllBytesPerSecond, AllBytesBurst)

  /**
   * @param now in ms
   * @returns whether to send the answer, a truncated one, which makes an honest resolver ask over TCP, or none
   */
  judge(source: string, requestBytes: number, answerBytes: number, now: number): Verdict {
    const budget = this.#sources.get(source) ?? {
      answers: new TokenBucket(AnswersPerSecond, AnswersBurst),
      bytes: new Allowance(BytesPerSecond, BytesBurst),
      slip: false,
    }
    this.#sources.set(source, budget)
    if (!budget.answers.take(now)) {
      budget.slip = !budget.slip
      return budget.slip ? 'truncate' : 'drop'
    }
    if (answerBytes <= 2 * requestBytes) return 'send'
    return this.#all.take(answerBytes, now) && budget.bytes.take(answerBytes, now) ? 'send' : 'truncate'
  }
}

/** A bucket of which much is taken at a time. */
class Allowance {
  readonly #perMs: number
  readonly #burst: number
  #left: number
  #at: number | undefined

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#left = burst
  }

  take(amount: number, now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + (now - (this.#at ?? now)) * this.#perMs)
    this.#at = now
    if (this.#left < amount) return false
    this.#left -= amount
    return true
  }
}
