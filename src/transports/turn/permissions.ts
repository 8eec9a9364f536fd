/** Which IP addresses may reach the relayed address, and when to ask the server again (RFC 8656 section 9). */
import { earliest } from '../../core/machine.js'
import { PermissionLifetime } from './constants.js'

/** How long before its end a permission is asked for again, ms. */
const RefreshEarly = 60_000
/** Those that are due so much later go with those that are due now, ms. */
const Together = 30_000
/** After a request that nobody has answered, ms. */
const RetryMs = 5000
/** With 16 IPv6 addresses a request stays far below 1280 bytes. */
const MaxAddressesPerRequest = 16
/** 300 peers with three addresses each. */
export const MaxPermissions = 1024

interface Permission {
  /** When to ask for it; undefined while the server is asked. */
  dueAt: number | undefined
  /** 0 where it has never been granted, or for another allocation. */
  grantedUntil: number
  /** Asked for in a request of its own, since a request with others was refused; until it is granted. */
  isAlone: boolean
}

export class Permissions {
  readonly #byAddress = new Map<string, Permission>()
  /** Kept, since it is asked for after every packet. */
  #nextDueAt: number | undefined

  /** Wants one. @returns false where there are too many */
  add(now: number, address: string): boolean {
    if (this.#byAddress.has(address)) return true
    if (this.#byAddress.size >= MaxPermissions) return false
    this.#byAddress.set(address, { dueAt: now, grantedUntil: 0, isAlone: false })
    this.#nextDueAt = earliest(this.#nextDueAt, now)
    return true
  }

  /** Wants it no more: it ends by itself, since the server cannot be asked to end it. */
  remove(address: string): void {
    this.#byAddress.delete(address)
    this.#findNextDue()
  }

  has(address: string): boolean {
    return this.#byAddress.has(address)
  }

  isGranted(now: number, address: string): boolean {
    return (this.#byAddress.get(address)?.grantedUntil ?? 0) > now
  }

  /** What to ask the server for now, a list for each request. */
  takeDue(now: number): readonly (readonly string[])[] {
    if (this.#nextDueAt === undefined || this.#nextDueAt > now) return []
    const requests: string[][] = []
    let shared: string[] = []
    for (const [address, permission] of this.#byAddress) {
      if (permission.dueAt === undefined || permission.dueAt > now + Together) continue
      permission.dueAt = undefined
      if (permission.isAlone) {
        requests.push([address])
        continue
      }
      shared.push(address)
      if (shared.length < MaxAddressesPerRequest) continue
      requests.push(shared)
      shared = []
    }
    if (shared.length > 0) requests.push(shared)
    this.#findNextDue()
    return requests
  }

  /** @returns those that were not granted before */
  granted(now: number, addresses: readonly string[]): readonly string[] {
    const fresh = addresses.filter((address) => this.has(address) && !this.isGranted(now, address))
    this.#each(addresses, (permission) => {
      permission.dueAt = now + PermissionLifetime - RefreshEarly
      permission.grantedUntil = now + PermissionLifetime
      permission.isAlone = false
    })
    return fresh
  }

  /** The server was asked for several and refused all of them for one: each is asked for alone. */
  separate(now: number, addresses: readonly string[]): void {
    this.#each(addresses, (permission) => {
      permission.dueAt = now
      permission.isAlone = true
    })
  }

  unanswered(now: number, addresses: readonly string[]): void {
    this.#each(addresses, (permission) => (permission.dueAt = now + RetryMs))
  }

  /** The allocation is gone: a new one needs them all again. */
  reset(now: number): void {
    this.#each([...this.#byAddress.keys()], (permission) => {
      permission.dueAt = now
      permission.grantedUntil = 0
    })
  }

  pollTimeout(): number | undefined {
    return this.#nextDueAt
  }

  #each(addresses: readonly string[], change: (permission: Permission) => void): void {
    for (const address of addresses) {
      const permission = this.#byAddress.get(address)
      if (permission !== undefined) change(permission)
    }
    this.#findNextDue()
  }

  #findNextDue(): void {
    this.#nextDueAt = undefined
    for (const { dueAt } of this.#byAddress.values()) this.#nextDueAt = earliest(this.#nextDueAt, dueAt)
  }
}
