/** Keeps a mailbox as it should be: the latest content, written once more where that failed. */
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import type { TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import type { Mailbox } from './mailbox.js'

const FirstRetryMs = 500
const LongestRetryMs = 30_000

export class MailboxWriter {
  readonly #environment: Pick<TopicEnvironment, 'node' | 'clock' | 'random'>
  readonly #mailbox: Mailbox
  readonly #content: () => readonly Frame[]
  readonly #over = new AbortController()
  #isWanted = false
  #isWriting = false
  #wasWritten = false

  /** @param content what should be there, when it is written */
  constructor(
    environment: Pick<TopicEnvironment, 'node' | 'clock' | 'random'>,
    mailbox: Mailbox,
    content: () => readonly Frame[],
  ) {
    this.#environment = environment
    this.#mailbox = mailbox
    this.#content = content
  }

  /** Writes what should be there; soon, where a write is under way. */
  write(): void {
    this.#isWanted = true
    if (!this.#isWriting) void this.#writeWhileWanted()
  }

  /** Writes no more. */
  close(): void {
    this.#over.abort()
  }

  /** Writes no more, but that nothing is there any more. */
  async empty(): Promise<void> {
    this.close()
    if (this.#wasWritten) await this.#mailbox.write([])
  }

  async #writeWhileWanted(): Promise<void> {
    const { node, clock, random } = this.#environment
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    this.#isWriting = true
    try {
      // Several changes at once are one.
      await Promise.resolve()
      while (this.#isWanted) {
        await node.whenUp(signal)
        this.#isWanted = false
        this.#wasWritten = true
        try {
          await abortable(this.#mailbox.write(this.#content()), signal)
        } catch {
          this.#isWanted = true
          await delay(clock, backoff.next(), signal)
        }
      }
    } catch {
      // Closed.
    } finally {
      this.#isWriting = false
    }
  }
}
