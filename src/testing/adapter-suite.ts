/** What the suite must be told of a backend, and of the runner that it runs in. */
import type { AdapterState, SignallingAdapter, SignallingTraits } from '../core/signalling-adapter.js'

export interface AdapterSuite {
  readonly name: string
  readonly traits: SignallingTraits
  /** Starts a backend of its own. */
  readonly start: () => Promise<AdapterFixture>
  /** Whether this backend drops records at their expiry, where it does more than the traits promise. */
  readonly expires?: boolean
  /** Whether the fixture can make its backend hang. */
  readonly canHang?: boolean
  /** Whether the beacon of an instance that has died stays until it expires: nobody else would remove it. */
  readonly keepsDeadBeacons?: boolean
  /** Runs a few tests only: for another way to a backend on which the whole suite runs. */
  readonly smoke?: boolean
  /** Why the suite cannot run here. In CI (`CI=true`) that is a failure. */
  readonly missing?: string | undefined
  /** What refusals are instances of; by default any Error with a `code`. */
  readonly errorClass?: (new (...args: never[]) => Error) | undefined
}

/** The functions of a test runner: those of vitest or jest as they are, or of node:test (`before`, `after`). */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: ((name: string, body: () => Promise<void>, timeoutMs?: number) => unknown) & {
    readonly skip: (name: string, body: () => Promise<void>) => unknown
  }
  readonly beforeAll: (body: () => Promise<void>) => unknown
  readonly afterEach: (body: () => Promise<void>) => unknown
  readonly afterAll: (body: () => Promise<void>) => unknown
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
