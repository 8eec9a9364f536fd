/**
 * Addresses of a room, given out by etcd alone (docs/decisions/0010): one key an address, made only where it
 * is not there, in the same step as a second key by which its holder finds it again.
 *
 *     <prefix>/1/<topic>/address/10.7.0.2   who has it, sealed or readable
 *     <prefix>/1/<topic>/holder/<holder>    10.7.0.2
 */
import type {
  AddressAllocator,
  AddressClaim,
  AddressRequest,
  HeldAddress,
} from '../../core/address-allocator.js'
import { explain, SignallingError } from '../../core/errors.js'
import { formatNumber, numberIn, subnetSize } from '../../core/overlay.js'
import type { Clock, Logger, Random } from '../../core/ports.js'
import { abortable } from '../waiting.js'
import { hasCode } from './failure.js'
import { type KeyRange, rangeOf, topicPrefix } from './keys.js'
import { Link } from './link.js'
import type { Session } from './session.js'
import type { EndpointSettings } from './settings.js'

export interface EtcdAddressAllocatorOptions {
  readonly endpoints: readonly EndpointSettings[]
  readonly prefix: string
  readonly readable: boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** How long an address stays with one who has left, or whose host has died. 600 s by default. */
  readonly keptSeconds?: number
  /** How long it stays with one who was given it and never came. 90 s by default. */
  readonly provisionalSeconds?: number
}

interface Held {
  readonly claim: AddressClaim
  readonly address: HeldAddress
}

/** A lease that many addresses share, for the first quarter of its time. */
interface SharedLease {
  readonly id: string
  readonly until: number
}

/** Tries to have an address that others want too. After some, a random one of the next free. */
const MaxTries = 64
const OrderlyTries = 4
const RandomSpread = 256
/** Keys in an answer. */
const KeysPerPage = 4096
/** Members of all rooms, and more. */
const MaxHeld = 4096

export class EtcdAddressAllocator implements AddressAllocator {
  readonly #options: EtcdAddressAllocatorOptions
  readonly #link: Link
  readonly #closed = new AbortController()
  readonly #keptSeconds: number
  readonly #provisionalSeconds: number
  /** By topic and holder. */
  readonly #held = new Map<string, Held>()
  /** Address keys that we are trying to have: our own requests do not get in each other's way. */
  readonly #wanted = new Set<string>()
  readonly #leases = new Map<number, Promise<SharedLease>>()
  /** Aborted with the reason while etcd is down. */
  #outage = new AbortController()
  #cancelRenewal: () => void = () => undefined

  /** Starts connecting. */
  constructor(options: EtcdAddressAllocatorOptions) {
    this.#options = options
    const { endpoints, clock, random, keptSeconds = 600, provisionalSeconds = 90 } = options
    this.#keptSeconds = keptSeconds
    this.#provisionalSeconds = provisionalSeconds
    this.#link = new Link({
      endpoints,
      clock,
      random,
      onUp: () => {
        this.#outage = new AbortController()
        void this.#renew()
      },
      onDown: (reason) => {
        this.#outage.abort(new SignallingError('addresses-unavailable', reason))
      },
    })
  }

  async allocate(request: AddressRequest, signal: AbortSignal): Promise<number | undefined> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    either.throwIfAborted()
    // Nobody is made to wait for what is known not to come.
    const session = await this.#link.whenUp(AbortSignal.any([either, this.#outage.signal]))
    return abortable(this.#allocate(session, request, either), either)
  }

  keep(claim: AddressClaim, address: HeldAddress): void {
    const name = heldName(claim)
    this.#held.delete(name)
    this.#held.set(name, { claim, address })
    const [oldest] = this.#held.keys()
    if (this.#held.size > MaxHeld && oldest !== undefined) this.#held.delete(oldest)
    const { session } = this.#link
    if (session !== undefined) void this.#keep(session, { claim, address })
  }

  release(claim: Pick<AddressClaim, 'topic' | 'holder'>): void {
    this.#held.delete(heldName(claim))
  }

  async close(): Promise<void> {
    this.#closed.abort(new SignallingError('adapter-closed', 'the etcd addresses were closed'))
    this.#cancelRenewal()
    await this.#link.close()
  }

  async #allocate(
    session: Session,
    request: AddressRequest,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { subnet, avoid } = request
    for (let attempt = 0; attempt < MaxTries; attempt += 1) {
      signal.throwIfAborted()
      const own = await this.#ownNumber(session, request)
      if (own !== undefined && !avoid.has(own)) {
        if (await this.#refresh(session, request, { subnet, number: own }, this.#provisionalSeconds))
          return own
        continue
      }
      const number = await this.#chooseFree(session, request, attempt)
      if (number === undefined) return undefined
      const address = { subnet, number }
      const key = this.#addressKey(request, address)
      this.#wanted.add(key)
      try {
        // What it had is not to be had by it any more.
        const isTaken = own === undefined ? undefined : formatNumber(subnet, own)
        if (await this.#claim(session, request, address, this.#provisionalSeconds, isTaken)) return number
      } finally {
        this.#wanted.delete(key)
      }
    }
    throw new SignallingError('addresses-unavailable', `${session.label}: too many want an address at once`)
  }

  /** The number that the holder has, as far as it is one of the network. */
  async #ownNumber(session: Session, { subnet, ...claim }: AddressRequest): Promise<number | undefined> {
    const entry = await session.get(Buffer.from(this.#holderKey(claim)))
    if (entry === undefined || entry.value.length > 15) return undefined
    return numberIn(subnet, Buffer.from(entry.value).toString('latin1'))
  }

  /** Where nobody else is, as far as it is seen now: the preferred number, or the lowest. */
  async #chooseFree(session: Session, request: AddressRequest, attempt: number): Promise<number | undefined> {
    const { subnet, preferred, avoid } = request
    const taken = new Set(avoid)
    const prefix = `${topicPrefix(this.#options.prefix, request.topic)}address/`
    let range: KeyRange = rangeOf(prefix)
    for (let isMore = true; isMore; ) {
      const keys = await session.keys(range, KeysPerPage)
      for (const key of keys) {
        const text = Buffer.from(key.subarray(0, prefix.length + 16)).toString('latin1')
        const number = numberIn(subnet, text.slice(prefix.length))
        if (number !== undefined) taken.add(number)
      }
      const last = keys.at(-1)
      isMore = last !== undefined && keys.length === KeysPerPage
      if (last !== undefined) range = { start: Buffer.concat([last, Buffer.of(0)]), end: range.end }
    }
    const isFree = (number: number): boolean =>
      !taken.has(number) && !this.#wanted.has(this.#addressKey(request, { subnet, number }))
    const last = subnetSize(subnet) - 2
    if (preferred !== undefined && preferred >= 2 && preferred <= last && isFree(preferred)) return preferred
    const free: number[] = []
    const enough = attempt < OrderlyTries ? 1 : RandomSpread
    for (let number = 2; number <= last && free.length < enough; number += 1) {
      if (isFree(number)) free.push(number)
    }
    return free[Math.floor(this.#options.random.fraction() * free.length)]
  }

  /** Takes an address, if neither it nor its holder is there yet. @returns whether that was so */
  async #claim(
    session: Session,
    claim: AddressClaim,
    address: HeldAddress,
    seconds: number,
    /** What the holder's key may say all the same. */
    said?: string,
  ): Promise<boolean> {
    const [holder, place] = [this.#holderKey(claim), this.#addressKey(claim, address)]
    const isHolderFree = said === undefined ? isAbsent(holder) : says(holder, said)
    return this.#write(session, claim, address, seconds, [isHolderFree, isAbsent(place)])
  }

  /** Lengthens what a holder has. @returns whether it still has it */
  async #refresh(
    session: Session,
    claim: AddressClaim,
    address: HeldAddress,
    seconds: number,
  ): Promise<boolean> {
    const text = formatNumber(address.subnet, address.number)
    return this.#write(session, claim, address, seconds, [says(this.#holderKey(claim), text)])
  }

  async #write(
    session: Session,
    claim: AddressClaim,
    address: HeldAddress,
    seconds: number,
    compare: readonly object[],
  ): Promise<boolean> {
    const value = this.#options.readable ? Buffer.from(claim.readable) : Buffer.from(claim.sealed)
    const text = Buffer.from(formatNumber(address.subnet, address.number))
    for (let attempt = 0; ; attempt += 1) {
      const lease = await this.#lease(session, seconds)
      const puts = [
        { request_put: { key: Buffer.from(this.#addressKey(claim, address)), value, lease } },
        { request_put: { key: Buffer.from(this.#holderKey(claim)), value: text, lease } },
      ]
      try {
        return (await session.transact({ compare, success: puts })).succeeded
      } catch (error) {
        // Somebody has revoked it, or all that etcd had is gone.
        this.#leases.delete(seconds)
        if (!hasCode(error, 'etcd-lease-lost') || attempt > 0) throw error
      }
    }
  }

  async #keep(session: Session, { claim, address }: Held): Promise<void> {
    try {
      if (await this.#refresh(session, claim, address, this.#keptSeconds)) return
      if (await this.#claim(session, claim, address, this.#keptSeconds)) return
      // Given by a host while etcd was not there, and by etcd to another meanwhile.
      this.#options.logger.warn('another has the address of a member', {
        address: formatNumber(address.subnet, address.number),
      })
    } catch (error) {
      this.#options.logger.warn('an address could not be kept', { reason: explain(error) })
    }
  }

  /** Lengthens all that is held, now and from time to time. */
  async #renew(): Promise<void> {
    const { session } = this.#link
    this.#cancelRenewal()
    if (this.#closed.signal.aborted || session === undefined) return
    this.#cancelRenewal = this.#options.clock.after((this.#keptSeconds * 1000) / 3, () => void this.#renew())
    for (const held of [...this.#held.values()]) {
      if (session.isOver) return
      if (this.#held.get(heldName(held.claim)) === held) await this.#keep(session, held)
    }
  }

  /** A lease with at least three quarters of its time before it. */
  async #lease(session: Session, seconds: number): Promise<string> {
    const { clock } = this.#options
    const known = this.#leases.get(seconds)
    if (known !== undefined) {
      const lease = await known.catch(() => undefined)
      if (lease !== undefined && clock.now() < lease.until) return lease.id
      if (this.#leases.get(seconds) === known) this.#leases.delete(seconds)
    }
    const begun = this.#leases.get(seconds)
    const until = clock.now() + (seconds * 1000) / 4
    const lease = begun ?? session.grant(seconds).then((id) => ({ id, until }))
    this.#leases.set(seconds, lease)
    return (await lease).id
  }

  #addressKey({ topic }: Pick<AddressClaim, 'topic'>, { subnet, number }: HeldAddress): string {
    return `${topicPrefix(this.#options.prefix, topic)}address/${formatNumber(subnet, number)}`
  }

  #holderKey({ topic, holder }: Pick<AddressClaim, 'topic' | 'holder'>): string {
    return `${topicPrefix(this.#options.prefix, topic)}holder/${holder}`
  }
}

function heldName({ topic, holder }: Pick<AddressClaim, 'topic' | 'holder'>): string {
  return `${topic}/${holder}`
}

/** A comparison of etcd's: nobody has made this key. */
function isAbsent(key: string): object {
  return { key: Buffer.from(key), target: 'Create', result: 'Equal', create_revision: '0' }
}

/** A comparison of etcd's: the key has this value. */
function says(key: string, text: string): object {
  return { key: Buffer.from(key), target: 'Value', result: 'Equal', value: Buffer.from(text) }
}
