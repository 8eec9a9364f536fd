/** Who is in a guest's room, as its host says, and what the guest says to the host about that. */
import type { Counters } from '../core/bounded.js'
import { GonetError } from '../core/errors.js'
import { formatKey } from '../core/identity.js'
import { earliest } from '../core/machine.js'
import type { Crypto, Store } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import { isNewer, type RosterMember, type RosterNumber } from '../core/roster.js'
import { storeFailed } from './chat-events.js'
import type { ControlMessage, RosterFragment, RosterStep } from './control.js'
import type { RoomEvent } from './events.js'
import { memberEvent, memberList } from './member-list.js'
import { MemberPins } from './member-pins.js'
import type { Member } from './room.js'
import { type RosterFault, RosterReader } from './roster-reader.js'

/** How often a guest says that it lives, and asks for what it lacks. */
const StateIntervalMs = 5000
/** The same once the roster has not changed for so long. */
const SettledMs = 15_000
const SettledStateIntervalMs = 10_000
/** Before the first roster has come, it asks this often. */
const StateRepeatMs = 250
/** Of steps that come together, one receipt is sent. */
const ReceiptMs = 20
/** New pins are on disk after that: where many come, each is not worth a write. */
const SaveMs = 2000
/** Asked for more often than that, the host does not answer. */
const AskMs = 200

const FaultTexts: Readonly<Record<RosterFault, string>> = {
  'roster-forged': 'A list of members came that the host has not signed. It is not used',
  'roster-rolled-back': 'The host sent an older list of members than it did before. It is not used',
  'roster-forked': 'The host has signed two lists of members that contradict each other. The first one stays',
}

export interface GuestRosterOptions {
  readonly crypto: Crypto
  readonly room: RoomId
  /** This member's key. */
  readonly self: Uint8Array
  readonly counters: Counters
  /** This guest's own for the room. */
  readonly store: Store
  /** Sends to the host. */
  readonly send: (now: number, message: ControlMessage) => void
  readonly tell: (event: RoomEvent) => void
}

export class GuestRoster {
  readonly #options: GuestRosterOptions
  readonly #reader: RosterReader
  readonly #pins: MemberPins
  readonly #faults = new Set<RosterFault>()
  #stateAt: number | undefined
  #receiptAt: number | undefined
  #askedAt = -Infinity
  #savedAt = -Infinity
  #saveAt: number | undefined
  #changedAt = 0
  /** As it was told. */
  #ownName: string | undefined

  constructor(options: GuestRosterOptions) {
    this.#options = options
    this.#reader = new RosterReader(options)
    this.#pins = new MemberPins(options.store)
  }

  get members(): readonly Member[] {
    const { crypto, room } = this.#options
    return memberList(crypto, room, this.#reader.members)
  }

  /** Undefined before there is a roster. */
  get host(): RosterMember | undefined {
    return this.#reader.members[0]
  }

  member(publicKey: Uint8Array): RosterMember | undefined {
    return this.#reader.member(publicKey)
  }

  /** What is told of a member that comes or goes. */
  eventOf(state: 'joined' | 'left', member: RosterMember): RoomEvent {
    return memberEvent(state, member, this.#reader.members)
  }

  /**
   * Points out what is odd about names: that another has the one that this member wanted, and that somebody has come
   * under a name that was another's before.
   * @param come those that have come, or gone
   */
  warn(now: number, wanted: string, come: readonly RosterMember[]): void {
    this.#tellOwnName(wanted)
    for (const { name, online, publicKey } of come) if (online) this.#checkPin(name, formatKey(publicKey))
    this.#saveAt ??= Math.max(now, this.#savedAt + SaveMs)
    if (now >= this.#saveAt) this.#savePins(now)
  }

  /** Says which roster is here, and goes on doing so: a sign of life, which asks for what is newer. */
  sendState(now: number): void {
    const { number } = this.#reader
    this.#receiptAt = undefined
    this.#askedAt = now
    this.#options.send(now, { type: 'state', number })
    const isSettled = now - this.#changedAt >= SettledMs
    const intervalMs = isSettled ? SettledStateIntervalMs : StateIntervalMs
    this.#stateAt = now + (this.host === undefined ? StateRepeatMs : intervalMs)
  }

  /** Says nothing more until `sendState`. */
  pause(): void {
    this.#stateAt = undefined
    this.#receiptAt = undefined
  }

  /** Notes which roster the host has. */
  handleState(now: number, number: RosterNumber): void {
    if (isNewer(number, this.#reader.number)) this.sendState(now)
  }

  /** @returns the others that have come or gone; undefined where there is no newer roster */
  take(
    now: number,
    hostKey: Uint8Array,
    message: RosterFragment | RosterStep,
  ): readonly RosterMember[] | undefined {
    const { crypto, self } = this.#options
    const news = this.#reader.add(now, hostKey, message)
    if (news.fault !== undefined) this.#tellFault(news.fault)
    if (news.reply === 'receipt') this.#receiptAt ??= now + ReceiptMs
    else if (news.reply === 'state' && now >= this.#askedAt + AskMs) this.sendState(now)
    if (!news.isNewer) return undefined
    this.#changedAt = now
    this.#stateAt = now + StateIntervalMs
    return news.changed.filter(({ publicKey }) => !crypto.equal(publicKey, self))
  }

  handleTimeout(now: number): void {
    if (now >= (this.#stateAt ?? Infinity)) this.sendState(now)
    if (now >= (this.#receiptAt ?? Infinity)) {
      this.#receiptAt = undefined
      this.#options.send(now, { type: 'roster-receipt', number: this.#reader.number })
    }
    if (now >= (this.#saveAt ?? Infinity)) this.#savePins(now)
  }

  pollTimeout(): number | undefined {
    return earliest(this.#stateAt, this.#receiptAt, this.#saveAt)
  }

  #savePins(now: number): void {
    this.#saveAt = undefined
    this.#savedAt = now
    try {
      this.#pins.save()
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      this.#options.tell(storeFailed(error))
    }
  }

  /** Each kind is told once: whoever repeats it would fill the screen. */
  #tellFault(code: RosterFault): void {
    if (this.#faults.has(code)) return
    this.#faults.add(code)
    this.#options.tell({ event: 'error', code, message: FaultTexts[code] })
  }

  #tellOwnName(wanted: string): void {
    const name = this.member(this.#options.self)?.name
    if (name === undefined || name === this.#ownName) return
    this.#ownName = name
    if (name === wanted) return
    const message = `Another member has the name ${wanted}: the others see you as ${name}`
    this.#options.tell({ event: 'warning', code: 'name-taken', message })
  }

  #checkPin(name: string, key: string): void {
    const { room } = this.#options
    const pinned = this.#pins.check(name, key)
    if (pinned === undefined) return
    const message =
      `${name} has another key than before (${key}, before it was ${pinned}): it may be somebody else. ` +
      `To trust it, take the name out of joined/${room}/data/${MemberPins.storeName} in the state folder`
    this.#options.tell({ event: 'warning', code: 'member-key-changed', message })
  }
}
