/** Whatever a client of the control socket sends, and however it is cut, the room goes on. */
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ControlConnection } from '../../src/node/control/connection.js'
import { LineSplitter } from '../../src/node/control/line-splitter.js'
import { requests } from '../../src/node/control/requests/index.js'
import { RoomView } from '../../src/node/control/room-view.js'
import { FakeRoom, ManualClock, silent } from '../unit/control-room.js'

const token = 'ab'.repeat(32)
/** A chat has its answer when it ends, which is with the client. */
const soonAnswered = new Map(Array.from(requests).filter(([name]) => name !== 'chat'))
const hello = `{"gonet":1,"token":"${token}"}\n`

/** A client that has no system below it. */
class Client extends Duplex {
  text = ''

  override _read(): void {
    // Pushed by the test.
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.text += Buffer.from(chunk).toString()
    done()
  }
}

async function say(chunks: readonly Uint8Array[]): Promise<string> {
  const running = { role: 'host', room: 'cf83e1357eefb8bdf154', token, pid: 1 } as const
  const room = new FakeRoom()
  const client = new Client()
  new ControlConnection(
    client,
    {
      running,
      requests: soonAnswered,
      room,
      role: 'host',
      view: new RoomView(),
      clock: new ManualClock(),
      logger: silent,
    },
    () => undefined,
  )
  for (const chunk of chunks) client.push(chunk)
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve))
  client.destroy()
  return client.text
}

function answers(text: string): readonly object[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as object)
}

const bytes = fc.uint8Array({ maxLength: 200 })
const line = fc.oneof(
  bytes.map((each) => Buffer.from(each).toString('latin1').replaceAll('\n', ' ')),
  fc.json(),
  fc
    .record(
      {
        id: fc.oneof(fc.integer(), fc.jsonValue()),
        request: fc.oneof(fc.constantFrom(...requests.keys(), '__proto__', ''), fc.string()),
        parameters: fc.oneof(fc.record({ text: fc.jsonValue() }, { requiredKeys: [] }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    .map((request) => JSON.stringify(request)),
)

describe('the control socket', () => {
  it('answers nobody who does not know the token', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            bytes,
            line.map((each) => Buffer.from(each)),
          ),
        ),
        async (chunks) => {
          for (const answer of answers(await say(chunks)))
            expect(answer).toMatchObject({ id: null, error: {} })
        },
      ),
    )
  })

  it('answers each request once, or says what is wrong', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 10 }),
        fc.integer({ min: 1, max: 100 }),
        async (lines, cut) => {
          const sent = Buffer.from(hello + lines.map((each) => `${each}\n`).join(''))
          const chunks: Uint8Array[] = []
          for (let at = 0; at < sent.length; at += cut) chunks.push(sent.subarray(at, at + cut))
          const [greeting, ...others] = answers(await say(chunks))
          expect(greeting).toMatchObject({ gonet: 1 })
          for (const answer of others) {
            expect(answer).not.toHaveProperty('error.code', 'unexpected')
          }
          expect(others.filter((answer) => !('event' in answer))).toHaveLength(lines.length)
        },
      ),
    )
  })

  it('splits lines the same however they come', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 30 })), fc.integer({ min: 1, max: 40 }), (texts, cut) => {
        const whole = Buffer.from(texts.map((text) => `${text}\n`).join(''))
        const expected = new LineSplitter(25).split(whole)
        const splitter = new LineSplitter(25)
        const found: (string | undefined)[] = []
        for (let at = 0; at < whole.length; at += cut)
          found.push(...splitter.split(whole.subarray(at, at + cut)))
        expect(found).toEqual(expected)
        const first = texts
          .flatMap((text) => text.split('\n'))
          .findIndex((text) => Buffer.byteLength(text) > 25)
        expect(found.indexOf(undefined)).toBe(first)
      }),
    )
  })
})
