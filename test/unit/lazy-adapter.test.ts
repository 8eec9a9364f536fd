import { describe, expect, it } from 'vitest'
import { MemoryAdapter, MemoryBackend } from '../../src/adapters/memory.js'
import { UsageError } from '../../src/core/errors.js'
import type { SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { LazyAdapter } from '../../src/node/lazy-adapter.js'
import { ManualClock } from '../contract/manual-clock.js'

const topic = 'abcdefghijklmnopqrst'
const as = { role: 'host', topics: [topic] } as const
const signal = (): AbortSignal => new AbortController().signal
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class Setting {
  readonly clock = new ManualClock()
  readonly backend = new MemoryBackend(this.clock)
  readonly made: string[] = []
  readonly wrong: unknown[] = []
  #turn = Promise.resolve()

  adapter(
    name: string,
    make: () => Promise<SignallingAdapter> = () => Promise.resolve(this.#memory()),
  ): LazyAdapter {
    const { traits } = this.#memory()
    const adapter = new LazyAdapter({
      name,
      traits,
      clock: this.clock,
      turn: this.#turn,
      onState: () => undefined,
      onWrong: (error) => this.wrong.push(error),
      make: () => {
        this.made.push(name)
        return make()
      },
    })
    this.#turn = adapter.nextTurn
    return adapter
  }

  #memory(): MemoryAdapter {
    return new MemoryAdapter(this.backend, () => undefined)
  }
}

describe('adapters that load when their turn comes', () => {
  it('start one after the other, and wait for none that says nothing for long', async () => {
    const setting = new Setting()
    const never = (): Promise<SignallingAdapter> => new Promise(() => undefined)
    const [first, second] = [setting.adapter('first', never), setting.adapter('second')]
    await Promise.all([first.open(as, signal()), second.open(as, signal())])
    await settled()
    expect(setting.made).toEqual(['first'])
    setting.clock.advance(99)
    await settled()
    expect(setting.made).toEqual(['first'])
    setting.clock.advance(1)
    await settled()
    expect(setting.made).toEqual(['first', 'second'])
  })

  it('let the next one begin where their configuration is wrong, and say so', async () => {
    const setting = new Setting()
    const failure = new UsageError('file-unreadable', 'cannot read it')
    const [first, second] = [
      setting.adapter('first', () => Promise.reject(failure)),
      setting.adapter('second'),
    ]
    await Promise.all([first.open(as, signal()), second.open(as, signal())])
    await settled()
    expect(setting.made).toEqual(['first', 'second'])
    expect(setting.wrong).toEqual([failure])
    await expect(first.watch(topic, 'host', () => undefined, signal())).rejects.toBe(failure)
  })

  it('do what they were asked before they were there', async () => {
    const setting = new Setting()
    const [host, guest] = [setting.adapter('host'), setting.adapter('guest')]
    await Promise.all([host.open(as, signal()), guest.open({ ...as, role: 'guest' }, signal())])
    const shown: SignalRecord[] = []
    const watched = guest.watch(topic, 'host', (record) => shown.push(record), signal())
    const record = { topic, box: 'host', sender: 'a', bytes: Uint8Array.of(1), expiresInMs: 60_000 } as const
    const published = host.publish(record, signal())
    for (let step = 0; step < 3; step += 1) {
      await settled()
      setting.clock.advance(100)
    }
    await Promise.all([watched, published])
    expect(shown.map(({ sender }) => sender)).toEqual(['a'])
    await Promise.all([host.close(), guest.close(), guest.close()])
  })

  it('never load where they are closed before their turn', async () => {
    const setting = new Setting()
    const never = (): Promise<SignallingAdapter> => new Promise(() => undefined)
    const [first, second] = [setting.adapter('first', never), setting.adapter('second')]
    await Promise.all([first.open(as, signal()), second.open(as, signal())])
    const waiting = expect(
      second.publish({ topic, box: 'host', sender: 'a', bytes: Uint8Array.of(1), expiresInMs: 1 }, signal()),
    ).rejects.toThrow('second was closed')
    await second.close()
    await waiting
    setting.clock.advance(1000)
    await settled()
    expect(setting.made).toEqual(['first'])
    expect(setting.wrong).toEqual([])
  })
})
