import { beforeEach, describe, expect, it } from 'vitest'
import { MemoryAdapter, MemoryBackend } from '../../src/adapters/memory.js'
import { type GonetError, SignallingError, UsageError } from '../../src/core/errors.js'
import { Rendezvous } from '../../src/core/rendezvous.js'
import type { RecordKey, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'

const topic = 'abcdefghijklmnopqrst'
const never = new AbortController().signal
/** For waits that leave a listener on their signal. */
const patience = (): AbortSignal => new AbortController().signal
const as = { role: 'host', topics: [topic] } as const

/** Resolves after everything that needs no outside event has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'join',
  sender: 'guest',
  bytes: Uint8Array.of(1),
  expiresInMs: 60_000,
  ...record,
})
const numbered = (number: number): SignalRecord => recordOf({ sender: `guest${number}` })

/** What an adapter was asked, and when its answer comes. Unless told otherwise it answers at once. */
class ScriptedAdapter implements SignallingAdapter {
  readonly name: string
  readonly traits
  readonly calls: string[] = []
  /** Calls that begin with this wait for `release`, or for their signal. */
  holds: string[] = []
  failure: Error | undefined
  readonly #released = new Set<() => void>()

  constructor(name: string, standing = false) {
    this.name = name
    this.traits = {
      maxRecordBytes: 8192,
      delivery: 'push',
      typicalLatencyMs: 1,
      standing: { host: standing, join: standing, reply: standing },
      retracts: true,
      expires: true,
      needsCredentials: false,
    } as const
  }

  release(): void {
    this.holds = []
    for (const resolve of this.#released) resolve()
    this.#released.clear()
  }

  open(_as: unknown, signal: AbortSignal): Promise<void> {
    return this.#answer('open', signal)
  }

  publish({ sender, bytes }: SignalRecord, signal: AbortSignal): Promise<void> {
    return this.#answer(`publish ${sender} ${bytes.join()}`, signal)
  }

  retract({ sender }: RecordKey, signal: AbortSignal): Promise<void> {
    return this.#answer(`retract ${sender}`, signal)
  }

  watch(_topic: string, box: string, _onRecord: unknown, signal: AbortSignal): Promise<void> {
    return this.#answer(`watch ${box}`, signal)
  }

  close(): Promise<void> {
    return this.#answer('close', never)
  }

  async #answer(call: string, signal: AbortSignal): Promise<void> {
    this.calls.push(call)
    if (this.holds.some((start) => call.startsWith(start))) {
      await new Promise<void>((resolve, reject) => {
        const abort = (): void => {
          this.calls.push(`aborted ${call}`)
          reject(signal.reason as Error)
        }
        signal.addEventListener('abort', abort)
        this.#released.add(() => {
          signal.removeEventListener('abort', abort)
          resolve()
        })
      })
    }
    if (this.failure !== undefined && call !== 'close') throw this.failure
    this.calls.push(`done ${call}`)
  }
}

let records: [adapter: string, sender: string][]
let failures: [adapter: string, error: GonetError][]
let unexpected: unknown[]
let first: ScriptedAdapter
let second: ScriptedAdapter
let both: Rendezvous

const rendezvous = (...adapters: SignallingAdapter[]): Rendezvous =>
  new Rendezvous({
    adapters,
    onRecord: (adapter, { sender }) => records.push([adapter, sender]),
    onFailure: (adapter, error) => failures.push([adapter, error]),
    onUnexpected: (error) => unexpected.push(error),
  })
const publish = (record = recordOf(), more: { adapter?: string; repeat?: boolean } = {}): void =>
  both.perform({ kind: 'publish', record, repeat: false, ...more })
const watch = (box: SignalRecord['box'] = 'host'): void => both.perform({ kind: 'watch', topic, box })
const retract = (record = recordOf()): void => both.perform({ kind: 'retract', key: record })

beforeEach(() => {
  records = []
  failures = []
  unexpected = []
  first = new ScriptedAdapter('first')
  second = new ScriptedAdapter('second')
  both = rendezvous(first, second)
})

describe('several backends', () => {
  const clock = { now: () => 0, after: () => () => undefined }

  it('show what is published on any of them, under its name', async () => {
    const [one, two] = [new MemoryBackend(clock), new MemoryBackend(clock)]
    const host = rendezvous(new MemoryAdapter(one, () => undefined), new MemoryAdapter(two, () => undefined))
    await host.open(as, never)
    host.perform({ kind: 'watch', topic, box: 'join' })
    const [near, far] = [new MemoryAdapter(one, () => undefined), new MemoryAdapter(two, () => undefined)]
    await near.publish(recordOf({ sender: 'near' }), never)
    await far.publish(recordOf({ sender: 'far' }), never)
    await settled()
    expect(records).toEqual([
      ['memory', 'near'],
      ['memory', 'far'],
    ])
    host.perform({ kind: 'unwatch', topic, box: 'join' })
    await near.publish(recordOf({ sender: 'late' }), never)
    await settled()
    expect(records).toHaveLength(2)
    await host.close(patience())
  })

  it('work while one is down, which catches up with the latest record', async () => {
    const [up, down] = [new MemoryBackend(clock), new MemoryBackend(clock)]
    down.stop('switched off')
    const host = rendezvous(new MemoryAdapter(up, () => undefined), new MemoryAdapter(down, () => undefined))
    await host.open(as, never)
    for (const bytes of [1, 2, 3]) {
      host.perform({
        kind: 'publish',
        record: recordOf({ box: 'host', bytes: Uint8Array.of(bytes) }),
        repeat: false,
      })
    }
    const beaconsOn = async (backend: MemoryBackend): Promise<number[][]> => {
      const seen: number[][] = []
      const stop = new AbortController()
      const watcher = new MemoryAdapter(backend, () => undefined)
      await watcher.watch(topic, 'host', ({ bytes }) => seen.push([...bytes]), stop.signal)
      await settled()
      stop.abort()
      return seen
    }
    await settled()
    expect(await beaconsOn(up)).toEqual([[3]])
    down.start()
    await settled()
    expect(await beaconsOn(down)).toEqual([[3]])
    await host.close(patience())
    expect(failures).toEqual([])
  })

  it('are asked alike, whether or not another one hangs', async () => {
    first.holds = ['watch', 'publish', 'retract']
    watch()
    publish()
    retract(numbered(2))
    await settled()
    expect(first.calls).toEqual(['watch host', 'retract guest2'])
    const done = second.calls.filter((call) => call.startsWith('done'))
    expect(done).toEqual(['done watch host', 'done retract guest2', 'done publish guest 1'])
  })

  it('are asked alike, whether or not another one fails', async () => {
    first.failure = new SignallingError('publish-refused', 'no')
    publish()
    publish(numbered(2))
    await settled()
    expect(failures.map(([adapter, { code }]) => [adapter, code])).toEqual([
      ['first', 'publish-refused'],
      ['first', 'publish-refused'],
    ])
    expect(second.calls).toContain('done publish guest2 1')
    expect(unexpected).toEqual([])
  })

  it('are left alone by what is meant for one', async () => {
    publish(recordOf(), { adapter: 'second' })
    await settled()
    expect(first.calls).toEqual([])
    expect(second.calls).toEqual(['publish guest 1', 'done publish guest 1'])
  })

  it('are not given again what stands on them', async () => {
    const standing = new ScriptedAdapter('standing', true)
    both = rendezvous(first, standing)
    publish(recordOf(), { repeat: true })
    await settled()
    expect(first.calls).toContain('publish guest 1')
    expect(standing.calls).toEqual([])
  })
})

describe('opening', () => {
  it('opens every adapter, side by side', async () => {
    first.holds = ['open']
    const opened = both.open(as, never)
    await settled()
    expect(second.calls).toEqual(['open', 'done open'])
    first.release()
    await opened
  })

  it('fails with the adapter that finds its configuration wrong', async () => {
    first.holds = ['open']
    second.failure = new UsageError('mqtt-url-wrong', 'no')
    await expect(both.open(as, never)).rejects.toBe(second.failure)
  })

  it('ends with the reason of its signal, and by closing', async () => {
    first.holds = ['open']
    const reason = new Error('no more')
    const stop = new AbortController()
    const opened = expect(both.open(as, stop.signal)).rejects.toBe(reason)
    stop.abort(reason)
    await opened
    const again = expect(both.open(as, never)).rejects.toMatchObject({ code: 'closed' })
    await both.close(patience())
    await again
  })
})

describe('a publication', () => {
  it('waits for the watches before it, and for no later one', async () => {
    first.holds = ['watch host']
    watch('host')
    publish()
    first.holds.push('watch reply')
    watch('reply/guest')
    await settled()
    expect(first.calls).toEqual(['watch host', 'watch reply/guest'])
    first.holds = ['watch reply']
    first.release()
    await settled()
    expect(first.calls).toContain('done publish guest 1')
  })

  it('goes ahead when the watch before it has failed', async () => {
    first.failure = new SignallingError('watch-refused', 'no')
    watch()
    await settled()
    first.failure = undefined
    publish()
    await settled()
    expect(failures).toHaveLength(1)
    expect(first.calls).toContain('done publish guest 1')
  })

  it('follows one of the same record that is under way, and only the latest does', async () => {
    first.holds = ['publish']
    for (const bytes of [1, 2, 3]) publish(recordOf({ bytes: Uint8Array.of(bytes) }))
    await settled()
    expect(first.calls).toEqual(['publish guest 1'])
    first.release()
    await settled()
    expect(first.calls.filter((call) => call.startsWith('publish'))).toEqual([
      'publish guest 1',
      'publish guest 3',
    ])
    expect(second.calls.filter((call) => call.startsWith('done')).at(-1)).toBe('done publish guest 3')
  })

  it('is one of a bounded number, under way and waiting; the oldest of those that wait goes first', async () => {
    first.holds = ['publish']
    for (let number = 0; number < 1200; number++) publish(numbered(number))
    await settled()
    const started = (): number[] =>
      first.calls
        .filter((call) => call.startsWith('publish'))
        .map((call) => Number(/guest(\d+)/.exec(call)?.[1]))
    const underWay = Array.from({ length: 16 }, (_, index) => index)
    expect(started()).toEqual(underWay)
    first.release()
    await settled()
    const kept = Array.from({ length: 1024 }, (_, index) => 1200 - 1024 + index)
    expect(started()).toEqual([...underWay, ...kept])
  })

  it('that fails makes way for the others', async () => {
    first.holds = ['publish']
    for (let number = 0; number < 17; number++) publish(numbered(number))
    await settled()
    first.failure = new SignallingError('publish-refused', 'no')
    first.release()
    await settled()
    expect(first.calls).toContain('publish guest16 1')
    expect(failures).toHaveLength(17)
  })
})

describe('a retraction', () => {
  it('aborts a publication that is under way, which is no failure', async () => {
    first.holds = ['publish']
    publish()
    await settled()
    retract()
    await settled()
    expect(first.calls).toEqual([
      'publish guest 1',
      'aborted publish guest 1',
      'retract guest',
      'done retract guest',
    ])
    expect(failures).toEqual([])
    expect(unexpected).toEqual([])
  })

  it('withdraws what waits, and leaves other records be', async () => {
    first.holds = ['publish']
    publish()
    publish(recordOf({ bytes: Uint8Array.of(2) }))
    publish(numbered(2))
    retract()
    first.release()
    await settled()
    expect(first.calls.filter((call) => call.startsWith('publish'))).toEqual([
      'publish guest 1',
      'publish guest2 1',
    ])
    expect(first.calls).toContain('done publish guest2 1')
  })

  it('is followed by what is published after it', async () => {
    first.holds = ['publish']
    publish()
    retract()
    first.holds = []
    publish(recordOf({ bytes: Uint8Array.of(2) }))
    await settled()
    expect(first.calls.at(-1)).toBe('done publish guest 2')
  })
})

describe('closing', () => {
  it('waits for the retractions under way', async () => {
    first.holds = ['retract']
    retract()
    const closed = both.close(patience())
    await settled()
    expect(first.calls).toEqual(['retract guest'])
    first.release()
    await closed
    expect(first.calls).toEqual(['retract guest', 'done retract guest', 'close', 'done close'])
  })

  it('waits for them no longer than its signal lets it', async () => {
    first.holds = ['retract', 'publish']
    retract()
    publish(numbered(2))
    const stop = new AbortController()
    const closed = both.close(stop.signal)
    await settled()
    stop.abort()
    await closed
    expect(first.calls).toContain('aborted retract guest')
    expect(first.calls).toContain('aborted publish guest2 1')
    expect(first.calls.at(-1)).toBe('done close')
    expect(failures).toEqual([])
    await rendezvous(new ScriptedAdapter('third')).close(AbortSignal.abort())
  })

  it('can be done twice, and nothing is done after it', async () => {
    await Promise.all([both.close(patience()), both.close(patience())])
    await both.close(patience())
    watch()
    publish()
    retract()
    await settled()
    expect(first.calls.every((call) => call.endsWith('close'))).toBe(true)
  })
})

it('tells an expected failure from a bug of an adapter', async () => {
  const bug = new TypeError('undefined is not a function')
  first.failure = bug
  watch()
  publish()
  retract(numbered(2))
  await settled()
  expect(unexpected).toEqual([bug, bug, bug])
  expect(failures).toEqual([])
})
