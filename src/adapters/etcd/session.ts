/**
 * A stay with one member of the cluster: logged in, with a lease that everything of ours is bound to, so that
 * etcd removes it soon after we are gone. The lease's keepalive is also how we notice a member that hangs.
 */
import type { SignallingError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { Client, type ServiceName, type Stream } from './client.js'
import type { KeyValue, RangeLimits, RangeReply, Transaction, WatchHandlers } from './entries.js'
import { failure, hasCode, isRefusal } from './failure.js'
import type { KeyRange } from './keys.js'
import type { EndpointSettings } from './settings.js'

/** How long what is ours may outlive us. The keepalive comes three times in it. */
const LeaseSeconds = 7
const KeepaliveMs = 2_000
/** The first answers, and each of the keepalive's. */
const AnswerMs = 5_000
/** Others may take longer, while the keepalive is answered: a busy etcd, or a box that strangers have filled. */
const CallMs = 15_000
/** etcd forgets a login that is not used for five minutes (--auth-token-ttl). */
const TokenRenewMs = 60_000
/** How long etcd has to take our leave. */
const PartingMs = 700

export class Session {
  readonly label: string
  /** Resolves with the reason when it is over. */
  readonly ended: Promise<SignallingError>
  readonly #client: Client
  readonly #clock: Clock
  readonly #endpoint: EndpointSettings
  #lease = '0'
  #token: Promise<string | undefined> | undefined
  #tokenAt = -Infinity
  #end: (reason: SignallingError) => void = () => undefined
  #isOver = false
  #keepaliveStream: Stream | undefined
  #cancelTimer: () => void = () => undefined

  private constructor(endpoint: EndpointSettings, clock: Clock) {
    this.label = endpoint.label
    this.#endpoint = endpoint
    this.#clock = clock
    this.#client = new Client(endpoint, clock)
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** @throws SignallingError why it cannot be had; the signal's reason on abort */
  static async open(endpoint: EndpointSettings, clock: Clock, signal: AbortSignal): Promise<Session> {
    const session = new Session(endpoint, clock)
    const abandon = (): void => {
      session.fail(failure('etcd-unreachable', endpoint.label, 'the connection was given up'))
    }
    signal.addEventListener('abort', abandon, { once: true })
    try {
      signal.throwIfAborted()
      await session.#begin()
      return session
    } catch (error) {
      session.fail(error as SignallingError)
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener('abort', abandon)
    }
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Stores a value, bound to the lease of this session. @returns the revision that it has */
  async put(key: string, value: Uint8Array): Promise<bigint> {
    const request = { key: Buffer.from(key), value: bufferOf(value), lease: this.#lease }
    return revisionOf(await this.#call('KV', 'put', request, 'publish-refused'))
  }

  async remove(key: string): Promise<void> {
    await this.#call('KV', 'deleteRange', { key: Buffer.from(key) })
  }

  async get(key: Uint8Array): Promise<KeyValue | undefined> {
    const reply = await this.#call('KV', 'range', { key: bufferOf(key) }, 'watch-refused')
    return (reply as { kvs?: KeyValue[] }).kvs?.[0]
  }

  /**
   * The latest entries of a range.
   * @throws SignallingError `watch-refused`, `etcd-reply-too-large`, or why the session has ended
   */
  async newest(
    { start, end }: KeyRange,
    { limit, before, keysOnly = false }: RangeLimits,
  ): Promise<RangeReply> {
    const request = {
      key: start,
      range_end: end,
      limit,
      sort_order: 'Descend',
      sort_target: 'Mod',
      keys_only: keysOnly,
      ...(before !== undefined && { max_mod_revision: String(before - 1n) }),
    }
    const reply = (await this.#call('KV', 'range', request, 'watch-refused')) as { kvs?: KeyValue[] }
    return { entries: reply.kvs ?? [], revision: revisionOf(reply) }
  }

  /** @returns whether the comparison held, and what the operations then came to */
  async transact(transaction: Transaction): Promise<{ succeeded: boolean; responses: readonly unknown[] }> {
    const reply = await this.#call('KV', 'txn', transaction, 'publish-refused')
    const { succeeded, responses } = reply as { succeeded?: boolean; responses?: unknown[] }
    return { succeeded: succeeded === true, responses: responses ?? [] }
  }

  /** The first keys of a range, in their own order. */
  async keys({ start, end }: KeyRange, limit: number): Promise<readonly Uint8Array[]> {
    const request = { key: start, range_end: end, limit, keys_only: true }
    const reply = (await this.#call('KV', 'range', request, 'watch-refused')) as { kvs?: KeyValue[] }
    return (reply.kvs ?? []).map(({ key }) => key)
  }

  /** A lease that outlives this session. @param seconds until it expires */
  async grant(seconds: number): Promise<string> {
    return ((await this.#call('Lease', 'leaseGrant', { TTL: seconds })) as { ID: string }).ID
  }

  /** Shows what happens to a key, or to every key of a range, from a revision on. */
  async watch(range: KeyRange | string, from: bigint, handlers: WatchHandlers): Promise<Stream> {
    const token = await this.#login()
    const stream = await this.#client.open(
      { service: 'Watch', method: 'watch', token },
      {
        onReply: (reply) => {
          this.#showEvents(reply as WatchReply, stream, handlers)
        },
        onEnd: (error) => {
          // A stream of its own for each, so that each carries a login that is fresh.
          if (isRefusal(error))
            handlers.onEnd(failure('watch-refused', this.label, Forbidden['watch-refused'], error))
          else this.fail(error)
        },
      },
    )
    const keys =
      typeof range === 'string' ? { key: Buffer.from(range) } : { key: range.start, range_end: range.end }
    stream.write({ create_request: { ...keys, start_revision: String(from), fragment: true } })
    return stream
  }

  /** Ends it; the first reason counts. */
  fail(reason: SignallingError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelTimer()
    this.#client.close()
    this.#end(reason)
  }

  /** Gives the lease back, with everything that is bound to it, and ends the session, within a second. */
  async close(): Promise<void> {
    if (this.#isOver) return
    this.#cancelTimer()
    this.#keepaliveStream?.cancel()
    try {
      const request = { ID: this.#lease }
      await this.#client.call(
        { service: 'Lease', method: 'leaseRevoke', request, token: undefined },
        PartingMs,
      )
    } catch {
      // Then it expires by itself.
    }
    this.fail(failure('etcd-unreachable', this.label, 'the connection was closed'))
  }

  async #begin(): Promise<void> {
    const granted = await this.#call('Lease', 'leaseGrant', { TTL: LeaseSeconds })
    this.#lease = (granted as { ID: string }).ID
    this.#keepaliveStream = await this.#client.open(
      { service: 'Lease', method: 'leaseKeepAlive', token: await this.#login() },
      {
        onReply: (reply) => {
          this.#cancelTimer()
          if (Number((reply as { TTL?: string }).TTL ?? 0) <= 0) {
            this.fail(failure('etcd-lease-lost', this.label, 'our lease has expired or was revoked'))
            return
          }
          this.#cancelTimer = this.#clock.after(KeepaliveMs, () => {
            this.#keepAlive()
          })
        },
        onEnd: (error) => {
          this.fail(error)
        },
      },
    )
    this.#keepAlive()
  }

  #keepAlive(): void {
    if (this.#isOver) return
    this.#keepaliveStream?.write({ ID: this.#lease })
    this.#cancelTimer = this.#clock.after(AnswerMs, () => {
      this.fail(failure('etcd-silent', this.label, 'etcd does not answer any more'))
    })
  }

  /** @param refusal what it is called where the user that we are may not do it */
  async #call(
    service: ServiceName,
    method: string,
    request: object,
    refusal: keyof typeof Forbidden = 'etcd-refused',
  ): Promise<unknown> {
    try {
      const limitMs = this.#keepaliveStream === undefined ? AnswerMs : CallMs
      return await this.#client.call({ service, method, request, token: await this.#login() }, limitMs)
    } catch (error) {
      if (hasCode(error, 'etcd-forbidden')) throw failure(refusal, this.label, Forbidden[refusal], error)
      // A lease that is not the session's own, and what only one call has met with.
      const isForeign = method === 'txn' && hasCode(error, 'etcd-lease-lost')
      const isOwn = isForeign || isRefusal(error) || hasCode(error, 'etcd-reply-too-large')
      if (!isOwn) this.fail(error as SignallingError)
      throw error
    }
  }

  async #login(): Promise<string | undefined> {
    if (this.#endpoint.login === undefined) return undefined
    const now = this.#clock.now()
    if (this.#token === undefined || now >= this.#tokenAt + TokenRenewMs) {
      this.#tokenAt = now
      this.#token = this.#authenticate(this.#endpoint.login)
    }
    return this.#token
  }

  async #authenticate({
    username,
    password,
  }: NonNullable<EndpointSettings['login']>): Promise<string | undefined> {
    try {
      const request = { name: username, password }
      const call = { service: 'Auth', method: 'authenticate', request, token: undefined } as const
      const reply = await this.#client.call(call, AnswerMs)
      return (reply as { token: string }).token
    } catch (error) {
      // Whoever is let in without a login needs none.
      if (hasCode(error, 'etcd-without-login')) return undefined
      throw error
    }
  }

  #showEvents(reply: WatchReply, stream: Stream, { onPut, onDelete, onEnd }: WatchHandlers): void {
    if (reply.canceled === true) {
      stream.cancel()
      const isCompacted = reply.compact_revision !== undefined && reply.compact_revision !== '0'
      onEnd(
        isCompacted
          ? failure('etcd-compacted', this.label, 'the history was compacted')
          : failure('watch-refused', this.label, Forbidden['watch-refused']),
      )
      return
    }
    for (const { type, kv } of reply.events ?? []) {
      if (kv === null || kv === undefined) continue
      if (type === 'Put') onPut(kv)
      else onDelete()
    }
  }
}

/** For users whom etcd does not let do what we need. */
const Forbidden = {
  'publish-refused': 'this user may not write our keys (etcdctl role grant-permission)',
  'watch-refused': 'this user may not read our keys (etcdctl role grant-permission)',
  'etcd-refused': 'this user may not do what we need (etcdctl role grant-permission)',
} as const

interface WatchReply {
  readonly canceled?: boolean
  readonly compact_revision?: string
  readonly events?: readonly { readonly type: 'Put' | 'Delete'; readonly kv?: KeyValue | null }[]
}

function revisionOf(reply: unknown): bigint {
  return BigInt((reply as { header?: { revision?: string } | null }).header?.revision ?? 0)
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
