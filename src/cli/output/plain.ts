/**
 * Lines for pipes: `name: text`, further lines of a message indented; events begin with `* `, which no name
 * can. Notices go to stderr.
 */
import type { RoomEvent } from '../../room/events.js'
import { drained, type Output, type Sink } from './output.js'
import { safeLine, safeLines } from './safe-text.js'
import { lateSentence, sentences, type Verbosity } from './sentences.js'

export class PlainOutput implements Output {
  readonly #stdout: Sink
  readonly #stderr: Sink
  readonly #verbosity: Verbosity

  constructor(streams: { readonly stdout: Sink; readonly stderr: Sink }, verbosity: Verbosity) {
    this.#stdout = streams.stdout
    this.#stderr = streams.stderr
    this.#verbosity = verbosity
  }

  event(event: RoomEvent): void {
    if (event.event === 'message') {
      const [first = '', ...further] = safeLines(event.text)
      if (event.late === true) this.#line(`* ${lateSentence(event.from)}`)
      this.#line(`${safeLine(event.from)}: ${first}`)
      for (const line of further) this.#line(`  ${line}`)
    } else {
      for (const sentence of sentences(event, this.#verbosity)) this.#line(`* ${sentence}`)
    }
  }

  notice(text: string): void {
    this.#stderr.write(`${safeLine(text)}\n`)
  }

  drained(signal: AbortSignal): Promise<void> {
    return drained(this.#stdout, signal)
  }

  close(): void {
    // Nothing was changed.
  }

  #line(text: string): void {
    this.#stdout.write(`${text}\n`)
  }
}
