/** What the tests of etcd alone share: adapters that tell when they are up or down, and servers of all kinds. */
import { setMaxListeners } from 'node:events'
import { afterEach } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type EtcdOptions, etcd } from '../../src/adapters/etcd/definition.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { type Etcd, type EtcdServerOptions, startEtcd } from '../servers/etcd.js'
import { etcdContext } from './etcd-fixture.js'

export const never: AbortSignal = new AbortController().signal
// Many waits at a time share it.
setMaxListeners(0, never)
export const topic = 'abcdefghijklmnopqrst'

let cleanUps: (() => Promise<void>)[] = []

/** Done after the test, the last first: an adapter parts from a server that is still there. */
export const atEnd = (cleanUp: () => Promise<void>): void => {
  cleanUps.push(cleanUp)
}

afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

export const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'epoch',
  bytes: new TextEncoder().encode('beacon'),
  expiresInMs: 60_000,
  ...record,
})

/** What a watch reports, and a way to wait for it. */
export class Seen {
  readonly records: SignalRecord[] = []
  readonly #checks = new Set<() => void>()

  readonly add = (record: SignalRecord): void => {
    this.records.push(record)
    for (const check of this.#checks) check()
  }

  async until(isReached: (records: readonly SignalRecord[]) => boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (!isReached(this.records)) return
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }

  shows(sender: string): Promise<void> {
    return this.until((records) => records.some((record) => record.sender === sender))
  }
}

export interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
  /** Resolves with the reason, without the endpoint, as soon as the adapter is down, now or later. */
  down(): Promise<string>
  up(): Promise<void>
}

export const open = async (
  options: Partial<EtcdOptions> & { endpoints: string[] },
  overrides: Partial<AdapterContext> = {},
): Promise<Opened> => {
  const states: AdapterState[] = []
  const checks = new Set<() => void>()
  const onState = (state: AdapterState): void => {
    states.push(state)
    for (const check of checks) check()
  }
  const context = etcdContext(onState, overrides)
  const adapter = await etcd.create({ prefix: 'gonet', readable: false, ...options }, context)
  atEnd(() => adapter.close())
  await adapter.open({ role: 'host', topics: [topic] }, never)
  const reach = async (wanted: AdapterState['state']): Promise<AdapterState | undefined> => {
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (states.at(-1)?.state === wanted) resolve()
      }
      checks.add(check)
      check()
    })
    return states.at(-1)
  }
  return {
    adapter,
    states,
    down: async () => {
      const state = await reach('down')
      return state?.state === 'down' ? state.reason.replace(/127\.0\.0\.1:\d+: /g, '') : ''
    },
    up: async () => {
      await reach('up')
    },
  }
}

export const server = async (options: EtcdServerOptions = {}): Promise<Etcd> => {
  const started = await startEtcd(options)
  atEnd(() => started.close())
  return started
}
