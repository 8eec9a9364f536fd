/**
 * What every signalling adapter must do, as tests. A backend's own test file says how to make adapters of it
 * and how to stop and start what they talk to; what differs between backends is read from their traits.
 */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SignallingError } from '../../src/core/errors.js'
import type {
  AdapterState,
  Box,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
} from '../../src/core/signalling-adapter.js'

export interface AdapterSuite {
  readonly name: string
  readonly traits: SignallingTraits
  /** Starts a backend of its own. */
  readonly start: () => Promise<AdapterFixture>
  /** Whether this backend drops records at their expiry, where it does more than the traits promise. */
  readonly expires?: boolean
  /** Whether the fixture can make its backend hang. */
  readonly canHang?: boolean
  /** Runs a few tests only: for another way to a backend on which the whole suite runs. */
  readonly smoke?: boolean
  /** Why the suite cannot run here. In CI (`CI=true`) that is a failure. */
  readonly missing?: string | undefined
}

export interface AdapterFixture {
  /** A new adapter, not open yet, that meets the others on the same backend. */
  create(onState: (state: AdapterState) => void): Promise<AdapterInstance>
  readonly backend: {
    stop(): Promise<void>
    start(): Promise<void>
    /** Lets it accept everything and answer nothing, until `stop`. */
    hang?(): Promise<void>
  }
  /** Lets time pass, in ms: jumps the clock that the backend runs on. Without it, real time passes. */
  passTime?(delayMs: number): Promise<void>
  close(): Promise<void>
}

export interface AdapterInstance {
  readonly adapter: SignallingAdapter
  /** Ends it as a crash of its process would: no farewell, and nothing of it comes back. */
  die(): Promise<void>
}

const DeadlineMs = 10_000
const Never = new AbortController().signal
// Many waits at a time share it.
setMaxListeners(0, Never)
const Boxes = ['host', 'join', 'reply/g'] as const

/** What came in, in order, and a way to wait for it. */
class Log<Entry> {
  readonly entries: Entry[] = []
  readonly #checks = new Set<() => void>()

  readonly add = (entry: Entry): void => {
    this.entries.push(entry)
    for (const check of this.#checks) check()
  }

  async until(what: string, isReached: (entries: readonly Entry[]) => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#checks.delete(check)
        reject(new Error(`not within ${DeadlineMs} ms: ${what}; came: ${JSON.stringify(this.entries)}`))
      }, DeadlineMs)
      const check = (): void => {
        if (!isReached(this.entries)) return
        clearTimeout(timer)
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }
}

class Records extends Log<SignalRecord> {
  has(sender: string): boolean {
    return this.entries.some((record) => record.sender === sender)
  }

  shows(sender: string): Promise<void> {
    return this.until(`a record of ${sender}`, () => this.has(sender))
  }

  last(sender: string): string | undefined {
    const record = this.entries.findLast((each) => each.sender === sender)
    return record && text(record.bytes)
  }
}

interface Running extends AdapterInstance {
  readonly states: Log<AdapterState>
}

export function testSignallingAdapter(suite: AdapterSuite): void {
  const { name, traits, missing } = suite
  if (missing !== undefined) {
    it.skipIf(process.env['CI'] !== 'true')(`${name}: ${missing}`, () => expect.fail(missing))
    return
  }

  describe(`signalling adapter: ${name}`, () => {
    let fixture: AdapterFixture
    let running: Running[] = []
    let topic = newTopic()

    beforeAll(async () => {
      fixture = await suite.start()
    })
    afterEach(async () => {
      await Promise.all(running.map(({ adapter }) => adapter.close()))
      await Promise.all(running.map((instance) => instance.die()))
      running = []
      topic = newTopic()
    })
    afterAll(() => fixture.close())

    async function create(): Promise<Running> {
      const states = new Log<AdapterState>()
      const instance = { ...(await fixture.create(states.add)), states }
      running.push(instance)
      return instance
    }

    async function open(role: 'host' | 'guest' = 'guest'): Promise<Running> {
      const instance = await create()
      await instance.adapter.open({ role, topics: [topic] }, Never)
      return instance
    }

    async function watch(
      { adapter }: AdapterInstance,
      box: Box,
      at = topic,
      signal = Never,
    ): Promise<Records> {
      const records = new Records()
      await adapter.watch(at, box, records.add, signal)
      return records
    }

    async function publish({ adapter }: AdapterInstance, record: Partial<SignalRecord> = {}): Promise<void> {
      await adapter.publish(recordOf({ topic, ...record }), Never)
    }

    /** Resolves when a newcomer is shown these beacons and not those. */
    async function beaconsAre(shown: readonly string[], gone: readonly string[]): Promise<void> {
      const [witness, newcomer] = [await open('host'), await open()]
      const deadline = Date.now() + DeadlineMs
      for (;;) {
        const stop = new AbortController()
        const records = await watch(newcomer, 'host', topic, stop.signal)
        // What was there before is shown before this marker, or with it.
        const sender = newSender()
        await publish(witness, { sender })
        await Promise.all([sender, ...shown].map((each) => records.shows(each)))
        stop.abort()
        if (!gone.some((each) => records.has(each))) return
        expect(Date.now(), `${gone.join()} should be gone`).toBeLessThan(deadline)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }

    const stands = (box: Box): boolean => traits.standing[box === 'host' || box === 'join' ? box : 'reply']

    it('reports that it is up', async () => {
      const { states } = await open()
      await states.until('up', ([first]) => first?.state === 'up')
    })

    it.each(Boxes)('shows a watcher of %s what comes', async (box) => {
      const [from, to] = [await open(), await open()]
      const records = await watch(to, box)
      await publish(from, { box, sender: 'abc123', bytes: bytesOf('one') })
      await records.shows('abc123')
      expect(records.entries[0]).toMatchObject({ topic, box, sender: 'abc123' })
      expect(records.entries[0]?.bytes.constructor).toBe(Uint8Array)
      expect(records.last('abc123')).toBe('one')
    })

    it.each(Boxes)('shows a watcher of %s what was there, where the box stands', async (box) => {
      const [from, to] = [await open(), await open()]
      await publish(from, { box, sender: 'before' })
      const records = await watch(to, box)
      await publish(from, { box, sender: 'after' })
      await records.shows('after')
      if (stands(box)) await records.shows('before')
      else expect(records.has('before')).toBe(false)
    })

    it('carries every byte, up to the largest record', async () => {
      const [from, to] = [await open(), await open()]
      const records = await watch(to, 'join')
      const largest = new Uint8Array(randomBytes(traits.maxRecordBytes))
      const every = Uint8Array.from({ length: 256 }, (_, value) => value)
      const samples = [largest, every, Uint8Array.of(0), Uint8Array.of(0xff, 0xfe, 0xc3, 0x28, 0x0d, 0x0a)]
      for (const [index, bytes] of samples.entries()) {
        await publish(from, { box: 'join', sender: `s${index}`, bytes })
      }
      for (const [index, bytes] of samples.entries()) {
        await records.shows(`s${index}`)
        expect(records.entries.find(({ sender }) => sender === `s${index}`)?.bytes).toEqual(bytes)
      }
    })

    it('goes on when the backend is restarted', async () => {
      const [host, guest] = [await open('host'), await open()]
      const joins = await watch(host, 'join')
      await publish(host, { sender: 'beacon' })
      await fixture.backend.stop()
      await Promise.all(
        [host, guest].map(({ states }) => states.until('down', (all) => all.at(-1)?.state === 'down')),
      )
      await fixture.backend.start()
      await Promise.all(
        [host, guest].map(({ states }) => states.until('up', (all) => all.at(-1)?.state === 'up')),
      )
      await publish(guest, { box: 'join', sender: 'guest' })
      await joins.shows('guest')
      if (stands('host')) await (await watch(guest, 'host')).shows('beacon')
    })

    if (traits.retracts && traits.standing.host) {
      it("removes a dead instance's beacon, but not the new one's", async () => {
        const [old, young] = [await open('host'), await open('host')]
        await publish(old, { sender: 'old' })
        await publish(young, { sender: 'young' })
        await old.die()
        await beaconsAre(['young'], ['old'])
      })
    }

    it('leaves nothing running', async () => {
      const host = await create()
      const before = resources()
      await host.adapter.open({ role: 'host', topics: [topic] }, Never)
      await watch(host, 'join')
      await publish(host, { sender: 'a' })
      await host.adapter.close()
      const deadline = Date.now() + DeadlineMs
      while (resources() > before && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      expect(resources(), process.getActiveResourcesInfo().join()).toBeLessThanOrEqual(before)
    })

    if (suite.smoke === true) return

    it('replaces the record of a sender', async () => {
      const [from, early] = [await open('host'), await open()]
      const live = await watch(early, 'host')
      await publish(from, { sender: 'a', bytes: bytesOf('old') })
      await publish(from, { sender: 'a', bytes: bytesOf('new') })
      await live.until('new', () => live.last('a') === 'new')
      if (!stands('host')) return
      const late = await watch(await open(), 'host')
      await late.shows('a')
      expect(late.entries.map(({ bytes }) => text(bytes))).toEqual(['new'])
    })

    if (suite.expires ?? traits.expires) {
      it('drops a record when it expires', async () => {
        const from = await open('host')
        await publish(from, { sender: 'brief', expiresInMs: 2000 })
        await publish(from, { sender: 'long' })
        await beaconsAre(['brief', 'long'], [])
        await fixture.passTime?.(2100)
        await beaconsAre(['long'], ['brief'])
      })
    }

    if (traits.retracts && traits.standing.host) {
      it('retracts a record, and only that', async () => {
        const from = await open('host')
        await publish(from, { sender: 'gone' })
        await publish(from, { sender: 'kept' })
        await from.adapter.retract({ topic, box: 'host', sender: 'gone' }, Never)
        await beaconsAre(['kept'], ['gone'])
        await publish(from, { sender: 'gone' })
        await beaconsAre(['kept', 'gone'], [])
      })

      it('removes its beacon when it is closed', async () => {
        const from = await open('host')
        await publish(from, { sender: 'gone' })
        await from.adapter.close()
        await beaconsAre([], ['gone'])
      })
    }

    it('does not mix topics', async () => {
      const [from, to] = [await open(), await open()]
      const other = newTopic()
      const [here, there] = [await watch(to, 'join'), await watch(to, 'join', other)]
      await publish(from, { box: 'join', sender: 'here' })
      await publish(from, { box: 'join', sender: 'there', topic: other })
      await publish(from, { box: 'join', sender: 'end' })
      await Promise.all([here.shows('end'), there.shows('there')])
      expect(senders(here)).toEqual(['end', 'here'])
      expect(senders(there)).toEqual(['there'])
    })

    it('brings 50 guests and their answers together at once', async () => {
      const host = await open('host')
      const joins = new Records()
      const answers = new Map<string, Promise<void>>()
      const onJoin = (join: SignalRecord): void => {
        joins.add(join)
        if (answers.has(join.sender)) return
        const answer = publish(host, { box: `reply/${join.sender}`, sender: 'host', bytes: join.bytes })
        answers.set(join.sender, answer)
      }
      await host.adapter.watch(topic, 'join', onJoin, Never)
      const guests = Array.from({ length: 50 }, (_, index) => `guest${index}`)
      const replies = await Promise.all(
        guests.map(async (sender) => {
          const guest = await open()
          const records = await watch(guest, `reply/${sender}`)
          await publish(guest, { box: 'join', sender, bytes: bytesOf(sender) })
          await records.shows('host')
          return records.entries.map(({ bytes }) => text(bytes))
        }),
      )
      await Promise.all(answers.values())
      expect(new Set(joins.entries.map(({ sender }) => sender))).toEqual(new Set(guests))
      expect(replies.map((texts) => [...new Set(texts)])).toEqual(guests.map((guest) => [guest]))
    }, 30_000)

    it('refuses a record that is too large', async () => {
      const { adapter } = await open()
      const record = recordOf({ topic, bytes: new Uint8Array(traits.maxRecordBytes + 1) })
      const refused = adapter.publish(record, Never)
      await expect(refused).rejects.toThrow(SignallingError)
      await expect(refused).rejects.toMatchObject({ code: 'record-too-large' })
    })

    it('waits for a backend that is down at the start', async () => {
      await fixture.backend.stop()
      const [host, guest] = [await open('host'), await open()]
      await host.states.until('down', (states) => states.at(-1)?.state === 'down')
      expect(host.states.entries.at(-1)).toMatchObject({ reason: expect.stringMatching(/\w/) as string })
      const watched = watch(host, 'join')
      const published = publish(host, { sender: 'a' })
      await host.adapter.retract({ topic, box: 'host', sender: 'never' }, Never)
      await fixture.backend.start()
      const joins = await watched
      await published
      await host.states.until('up', (states) => states.at(-1)?.state === 'up')
      await publish(guest, { box: 'join', sender: 'b' })
      await joins.shows('b')
    })

    it('throws the reason of a signal that is aborted before', async () => {
      const reason = new Error('no more')
      const signal = AbortSignal.abort(reason)
      const { adapter } = await create()
      await expect(adapter.open({ role: 'guest', topics: [topic] }, signal)).rejects.toBe(reason)
      const open2 = (await open()).adapter
      await expect(open2.publish(recordOf({ topic }), signal)).rejects.toBe(reason)
      await expect(open2.watch(topic, 'host', unexpected, signal)).rejects.toBe(reason)
      await expect(open2.retract({ topic, box: 'host', sender: 'a' }, signal)).rejects.toBe(reason)
    })

    it('throws the reason of a signal that is aborted in the middle', async () => {
      await fixture.backend.stop()
      const host = await open('host')
      const stop = new AbortController()
      const reason = new Error('no more')
      const waits = [
        ...Boxes.map((box) => host.adapter.publish(recordOf({ topic, box, sender: 'late' }), stop.signal)),
        host.adapter.watch(topic, 'join', unexpected, stop.signal),
      ].map((wait) => expect(wait).rejects.toBe(reason))
      await host.states.until('down', (states) => states.at(-1)?.state === 'down')
      stop.abort(reason)
      await Promise.all(waits)
      await fixture.backend.start()
      await host.states.until('up', (states) => states.at(-1)?.state === 'up')
      if (stands('host')) await beaconsAre([], ['late'])
    })

    it('shows nothing more after a watch is aborted', async () => {
      const [from, to] = [await open(), await open()]
      const stop = new AbortController()
      const [first, second] = [await watch(to, 'join', topic, stop.signal), await watch(to, 'join')]
      await publish(from, { box: 'join', sender: 'a' })
      await Promise.all([first.shows('a'), second.shows('a')])
      stop.abort()
      await publish(from, { box: 'join', sender: 'b' })
      await second.shows('b')
      expect(first.has('b')).toBe(false)
    })

    it('can be closed at any time, and twice', async () => {
      await (await create()).adapter.close()
      const { adapter } = await open()
      await Promise.all([adapter.close(), adapter.close()])
      await adapter.close()
      await expect(adapter.publish(recordOf({ topic }), Never)).rejects.toThrow(SignallingError)
      await expect(adapter.watch(topic, 'host', unexpected, Never)).rejects.toThrow(SignallingError)
      await adapter.retract({ topic, box: 'host', sender: 'a' }, Never)
    })

    it('ends every wait when it is closed', async () => {
      await fixture.backend.stop()
      const { adapter } = await open('host')
      const waits = [
        adapter.publish(recordOf({ topic }), Never),
        adapter.publish(recordOf({ topic, box: 'join' }), Never),
        adapter.watch(topic, 'join', unexpected, Never),
      ].map((wait) => expect(wait).rejects.toThrow(SignallingError))
      await adapter.close()
      await Promise.all(waits)
      await fixture.backend.start()
    })

    if (suite.canHang === true) {
      it('is closed within two seconds where the backend hangs', async () => {
        const host = await open('host')
        await publish(host, { sender: 'a' })
        await watch(host, 'join')
        await fixture.backend.hang?.()
        const startedAt = Date.now()
        await host.adapter.close()
        expect(Date.now() - startedAt).toBeLessThan(2000)
        await fixture.backend.stop()
        await fixture.backend.start()
      })
    }
  })
}

function unexpected({ sender }: SignalRecord): void {
  expect.fail(`a record of ${sender}`)
}

function recordOf(record: Partial<SignalRecord> & Pick<SignalRecord, 'topic'>): SignalRecord {
  return { box: 'host', sender: 'sender', bytes: bytesOf('record'), expiresInMs: 60_000, ...record }
}

/** Sockets and timers of this process. */
function resources(): number {
  return process.getActiveResourcesInfo().filter((kind) => /^(TCP|TLS|UDP|Timeout)/.test(kind)).length
}

function senders({ entries }: Records): string[] {
  return [...new Set(entries.map(({ sender }) => sender))].sort()
}

function newTopic(): string {
  return Array.from(randomBytes(20), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('')
}

function newSender(): string {
  return randomBytes(8).toString('hex')
}

function bytesOf(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
