/** Which roster each member was sent, and has; when what was not acknowledged goes out again. */
import { earliest } from '../core/machine.js'
import { isNewer, type RosterNumber } from '../core/roster.js'

/** A member that asks for a roster gets it this often at most. */
const AnswerMs = 200
/** What is not acknowledged in this time goes out again, in twice the time once more, and so on. */
const RepeatMs = 1000
/** After so many times a member is left to ask: it says every few seconds which roster it has. */
const MaxRepeats = 4

interface Receipt {
  /** The newest that it was sent. */
  sent: RosterNumber
  sentAt: number
  has: RosterNumber | undefined
  repeats: number
  /** Undefined once it has what it was sent. */
  repeatAt: number | undefined
}

export class RosterReceipts {
  readonly #byMember = new Map<string, Receipt>()
  /** None goes out again before. */
  #overdueAt: number | undefined

  get members(): readonly string[] {
    return Array.from(this.#byMember.keys())
  }

  /** The newest roster that a member was sent. */
  sent(member: string): RosterNumber | undefined {
    return this.#byMember.get(member)?.sent
  }

  mayAnswer(now: number, member: string): boolean {
    return now >= (this.#byMember.get(member)?.sentAt ?? -Infinity) + AnswerMs
  }

  /** Notes that a member is sent a roster. */
  send(now: number, member: string, number: RosterNumber): void {
    const before = this.#byMember.get(member)
    const isAgain = before !== undefined && !isNewer(number, before.sent)
    const repeats = isAgain ? before.repeats + 1 : 0
    const repeatAt = repeats < MaxRepeats ? now + RepeatMs * 2 ** repeats : undefined
    this.#overdueAt = earliest(this.#overdueAt, repeatAt)
    this.#byMember.set(member, { sent: number, sentAt: now, has: before?.has, repeats, repeatAt })
  }

  acknowledge(member: string, has: RosterNumber): void {
    const receipt = this.#byMember.get(member)
    if (receipt === undefined) return
    receipt.has = has
    if (!isNewer(receipt.sent, has)) receipt.repeatAt = undefined
  }

  forget(member: string): void {
    this.#byMember.delete(member)
  }

  /** The members that have not acknowledged in time, and what they have. */
  takeOverdue(now: number): readonly { readonly member: string; readonly has: RosterNumber | undefined }[] {
    if (this.#overdueAt === undefined || now < this.#overdueAt) return []
    this.#overdueAt = undefined
    const overdue: { readonly member: string; readonly has: RosterNumber | undefined }[] = []
    for (const [member, receipt] of this.#byMember) {
      if (now >= (receipt.repeatAt ?? Infinity)) {
        receipt.repeatAt = undefined
        overdue.push({ member, has: receipt.has })
      } else this.#overdueAt = earliest(this.#overdueAt, receipt.repeatAt)
    }
    return overdue
  }

  pollTimeout(): number | undefined {
    return this.#overdueAt
  }
}
