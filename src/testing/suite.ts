/**
 * What every signalling adapter must do, as tests. A backend's own test file says how to make adapters of it
 * and how to stop and start what they talk to; what differs between backends is read from their traits.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { AdapterState, Box, SignalRecord } from '../core/signalling-adapter.js'
import type { AdapterFixture, AdapterInstance, AdapterSuite, TestRunner } from './adapter-suite.js'
import { DeadlineMs, Log, Records, text } from './log.js'
import { bytesOf, newSender, newTopic, recordOf, resources, senders } from './samples.js'

/** How long a test may take: it waits for several things one after another. */
const TimeoutMs = 3 * DeadlineMs
const Never = new AbortController().signal
// Many waits at a time share it.
setMaxListeners(0, Never)
const Boxes = ['host', 'join', 'reply/g'] as const

interface Running extends AdapterInstance {
  readonly states: Log<AdapterState>
}

/**
 * Declares the suite's tests for one backend.
 * @param suite the backend: its traits, and how to make adapters of it and to stop and start what they talk to
 * @param runner the test runner's functions
 */
export function testSignallingAdapter(suite: AdapterSuite, runner: TestRunner): void {
  const { name, traits, missing, errorClass = Error } = suite
  const { describe, beforeAll, afterEach, afterAll } = runner
  const it = (what: string, body: () => Promise<void>): unknown => runner.it(what, body, TimeoutMs)
  if (missing !== undefined) {
    const fail = (): Promise<void> => Promise.reject(new Error(missing))
    if (process.env['CI'] === 'true') runner.it(`${name}: ${missing}`, fail)
    else runner.it.skip(`${name}: ${missing}`, fail)
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
        assert.ok(Date.now() < deadline, `${gone.join()} should be gone`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }

    const refused = async (wait: Promise<void>, code?: string): Promise<void> => {
      const error = await failureOf(wait)
      assert.ok(error instanceof errorClass, `not refused as it should be: ${String(error)}`)
      const actual = (error as { readonly code?: unknown }).code
      assert.equal(typeof actual, 'string', 'a refusal has a code')
      if (code !== undefined) assert.equal(actual, code)
    }

    const stands = (box: Box): boolean => traits.standing[box === 'host' || box === 'join' ? box : 'reply']

    it('reports that it is up', async () => {
      const { states } = await open()
      await states.until('up', ([first]) => first?.state === 'up')
    })

    for (const box of Boxes) {
      it(`shows a watcher of ${box} what comes`, async () => {
        const [from, to] = [await open(), await open()]
        const records = await watch(to, box)
        await publish(from, { box, sender: 'abc123', bytes: bytesOf('one') })
        await records.shows('abc123')
        const [first] = records.entries
        assert.deepEqual([first?.topic, first?.box, first?.sender], [topic, box, 'abc123'])
        assert.equal(first?.bytes.constructor, Uint8Array)
        assert.equal(records.last('abc123'), 'one')
      })
    }

    for (const box of Boxes) {
      it(`shows a watcher of ${box} what was there, where the box stands`, async () => {
        const [from, to] = [await open(), await open()]
        await publish(from, { box, sender: 'before' })
        const records = await watch(to, box)
        await publish(from, { box, sender: 'after' })
        await records.shows('after')
        if (stands(box)) await records.shows('before')
        else assert.ok(!records.has('before'), 'what was there before was shown')
      })
    }

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
        const record = records.entries.find(({ sender }) => sender === `s${index}`)
        assert.deepEqual(record?.bytes, bytes)
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

    if (traits.retracts && traits.standing.host && suite.keepsDeadBeacons !== true) {
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
      assert.ok(resources() <= before, process.getActiveResourcesInfo().join())
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
      assert.deepEqual(
        late.entries.map(({ bytes }) => text(bytes)),
        ['new'],
      )
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
      await Promise.all([here.shows('here'), here.shows('end'), there.shows('there')])
      assert.deepEqual(senders(here), ['end', 'here'])
      assert.deepEqual(senders(there), ['there'])
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
      assert.deepEqual(senders(joins), [...guests].sort())
      assert.deepEqual(
        replies.map((texts) => [...new Set(texts)]),
        guests.map((guest) => [guest]),
      )
    })

    it('refuses a record that is too large', async () => {
      const { adapter } = await open()
      const record = recordOf({ topic, bytes: new Uint8Array(traits.maxRecordBytes + 1) })
      await refused(adapter.publish(record, Never), 'record-too-large')
    })

    it('waits for a backend that is down at the start', async () => {
      await fixture.backend.stop()
      const [host, guest] = [await open('host'), await open()]
      await host.states.until('down', (states) => states.at(-1)?.state === 'down')
      const last = host.states.entries.at(-1)
      assert.match(last?.state === 'down' ? last.reason : '', /\w/)
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
      await rejectsWith(reason, adapter.open({ role: 'guest', topics: [topic] }, signal))
      const open2 = (await open()).adapter
      await rejectsWith(reason, open2.publish(recordOf({ topic }), signal))
      await rejectsWith(reason, open2.watch(topic, 'host', unexpected, signal))
      await rejectsWith(reason, open2.retract({ topic, box: 'host', sender: 'a' }, signal))
    })

    it('throws the reason of a signal that is aborted in the middle', async () => {
      await fixture.backend.stop()
      const host = await open('host')
      const stop = new AbortController()
      const reason = new Error('no more')
      const waits = [
        ...Boxes.map((box) => host.adapter.publish(recordOf({ topic, box, sender: 'late' }), stop.signal)),
        host.adapter.watch(topic, 'join', unexpected, stop.signal),
      ].map((wait) => rejectsWith(reason, wait))
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
      assert.ok(!first.has('b'), 'a record was shown after the abort')
    })

    it('can be closed at any time, and twice', async () => {
      await (await create()).adapter.close()
      const { adapter } = await open()
      await Promise.all([adapter.close(), adapter.close()])
      await adapter.close()
      await refused(adapter.publish(recordOf({ topic }), Never))
      await refused(adapter.watch(topic, 'host', unexpected, Never))
      await adapter.retract({ topic, box: 'host', sender: 'a' }, Never)
    })

    it('ends every wait when it is closed', async () => {
      await fixture.backend.stop()
      const { adapter } = await open('host')
      const waits = [
        adapter.publish(recordOf({ topic }), Never),
        adapter.publish(recordOf({ topic, box: 'join' }), Never),
        adapter.watch(topic, 'join', unexpected, Never),
      ].map((wait) => refused(wait))
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
        assert.ok(Date.now() - startedAt < 2000, 'closing took longer')
        await fixture.backend.stop()
        await fixture.backend.start()
      })
    }
  })
}

function unexpected({ sender }: SignalRecord): void {
  assert.fail(`a record of ${sender}`)
}

async function failureOf(wait: Promise<void>): Promise<unknown> {
  try {
    await wait
  } catch (error) {
    return error
  }
  return assert.fail('it was not refused')
}

async function rejectsWith(reason: Error, wait: Promise<void>): Promise<void> {
  assert.equal(await failureOf(wait), reason)
}
