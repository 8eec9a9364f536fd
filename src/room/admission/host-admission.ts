/**
 * Who gets in, at the host: rules that need only a key are kept at the join; whoever must prove a password, or wait
 * for a person, has a tunnel first, and is in quarantine there (docs/protocol.md, Admission).
 */
import { Counters } from '../../core/bounded.js'
import { DecodeError } from '../../core/errors.js'
import { earliest, type Machine } from '../../core/machine.js'
import type { AdmissionKind } from '../../core/messages.js'
import type { PasswordAnswer, PasswordRequest } from '../../core/password-proof.js'
import type { Crypto } from '../../core/ports.js'
import { type TunnelBinding, tunnelProof } from './binding.js'
import { type Guesser, GuessLimiter, networkOf } from './guess-limiter.js'
import { type AdmissionMessage, readAdmission } from './message.js'
import type { AdmissionRegister } from './register.js'

/** How long a guest may take to prove the password: somebody may have to type it. */
const PasswordMs = 120_000
/** How long a person at the host may take. */
const ApprovalMs = 30 * 60_000
/** A guest that waits says so every few seconds; one that does not is gone. */
const SilenceMs = 30_000
/** A guest that got an answer and does not prove that it has the password has guessed wrong. */
const GuessMs = 20_000
/** How long a denial is repeated to a guest that has not heard it. */
const DenialMs = 3000
/** Guests in quarantine: where there are more, one more is turned away. */
const MaxVisitors = 256
/** Those that wait for a person, in all and from one network. */
const MaxWaiting = 64
const MaxWaitingPerNetwork = 8

export interface HostAdmissionOptions {
  readonly crypto: Pick<Crypto, 'equal' | 'hmacSha256'>
  readonly kind: AdmissionKind
  /** The keys to let in, base64, where the kind is `allow`. */
  readonly allow: readonly string[]
  readonly register: AdmissionRegister
}

/** A guest whose tunnel is up. */
export interface Visitor {
  /** Names its tunnel. */
  readonly id: string
  /** Public key, base64. */
  readonly key: string
  readonly name: string
  /** Whether an invite has let it in: nobody is asked then. */
  readonly isInvited: boolean
  readonly binding: TunnelBinding
}

export interface Refusal {
  readonly code: string
  readonly text: string
}

export type HostAdmissionEvent =
  | { readonly type: 'admitted'; readonly visitor: Visitor }
  /** The visitor has no business here any more: its tunnel goes. */
  | { readonly type: 'gone'; readonly visitor: Visitor }
  /** Somebody asks to be let in: a person answers with `approve` or `deny`. */
  | { readonly type: 'asks'; readonly visitor: Visitor }
  | { readonly type: 'wrong-password'; readonly visitor: Visitor }
  /** That a member was let in could not be kept: it will have to ask again. */
  | { readonly type: 'store-failed'; readonly error: unknown }

export type HostAdmissionTransmit =
  | { readonly type: 'send'; readonly visitor: Visitor; readonly message: AdmissionMessage }
  | { readonly type: 'password'; readonly request: PasswordRequest }

type State =
  | { readonly name: 'asked' }
  /** OPAQUE's answer is being made, or was sent: a guess, until its proof has come. */
  | { readonly name: 'guess'; readonly guesser: Guesser; answer?: AdmissionMessage }
  | { readonly name: 'verifying'; readonly guesser: Guesser; readonly proof: Uint8Array }
  | { readonly name: 'waiting' }
  | { readonly name: 'admitted'; readonly answer: AdmissionMessage }
  | { readonly name: 'denied'; readonly answer: AdmissionMessage }

interface Visit {
  readonly visitor: Visitor
  network: string | undefined
  state: State
  endsAt: number
  heardAt: number
}

export class HostAdmission implements Machine<HostAdmissionEvent, HostAdmissionTransmit> {
  readonly counters: Counters = new Counters()
  readonly #options: HostAdmissionOptions
  readonly #limiter = new GuessLimiter()
  /** All that have a tunnel, by its id; those in quarantine among them. */
  readonly #visits = new Map<string, Visit>()
  readonly #quarantine = new Set<Visit>()
  readonly #transmits: HostAdmissionTransmit[] = []
  readonly #events: HostAdmissionEvent[] = []

  constructor(options: HostAdmissionOptions) {
    this.#options = options
  }

  /** Those that a person is asked about, the longest waiting first. */
  get waiting(): readonly Visitor[] {
    return Array.from(this.#quarantine)
      .filter(({ state }) => state.name === 'waiting')
      .map(({ visitor }) => visitor)
  }

  /** Whether a tunnel is out of quarantine. */
  isIn(id: string): boolean {
    return this.#visits.get(id)?.state.name === 'admitted'
  }

  /** Whether a key has a tunnel in quarantine. */
  isHeld(key: string): boolean {
    return (
      this.#quarantine.size > 0 && Array.from(this.#quarantine).some(({ visitor }) => visitor.key === key)
    )
  }

  /** Why a guest gets no tunnel, where its key is enough to say so. */
  refusal(key: string): Refusal | undefined {
    const { allow, kind, register } = this.#options
    const ban = register.banOf(key)
    if (ban !== undefined) return refusalOf(ban.untilMs)
    if (kind !== 'allow' || allow.includes(key)) return undefined
    return { code: 'not-allowed', text: `The host lets in listed keys only, and ${key} is not one` }
  }

  /**
   * Takes a guest whose tunnel is up.
   * @returns whether it is in already; else it is in quarantine until an event says what became of it
   */
  enter(now: number, visitor: Visitor): boolean {
    const { kind, register } = this.#options
    const isApproved = visitor.isInvited || register.isKnown(visitor.key, 'approval')
    const isIn = kind !== 'password' && (kind !== 'approve' || isApproved)
    const state: State = isIn
      ? { name: 'admitted', answer: { type: 'admitted', proof: new Uint8Array() } }
      : { name: 'asked' }
    const endsAt = now + (kind === 'approve' ? ApprovalMs : PasswordMs)
    const visit: Visit = { visitor, network: undefined, state, endsAt, heardAt: now }
    this.#visits.set(visitor.id, visit)
    if (isIn) return true
    const isFull = this.#quarantine.size >= MaxVisitors
    this.#quarantine.add(visit)
    if (isFull) this.#deny(now, visit, busy())
    return false
  }

  /** Forgets a guest whose tunnel is gone. */
  remove(id: string): void {
    const visit = this.#visits.get(id)
    if (visit === undefined) return
    this.#forget(visit)
  }

  /**
   * Takes an admission message out of a guest's tunnel; what is wrong with it is counted.
   * @param address where the guest sends from; undefined where that is not known
   */
  handleMessage(now: number, id: string, payload: Uint8Array, address: string | undefined): void {
    const visit = this.#visits.get(id)
    if (visit === undefined) return
    visit.heardAt = now
    visit.network ??= address === undefined ? undefined : networkOf(address)
    // Limits go by networks: who comes before there is a path to it says it again.
    if (visit.network === undefined) return
    try {
      this.#handle(now, visit, readAdmission(payload))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
  }

  /** What became of a `password` transmit, by its id. */
  handlePassword(now: number, id: string, answer: PasswordAnswer): void {
    const visit = this.#visits.get(id)
    if (visit === undefined) return
    const { state } = visit
    if (state.name === 'guess' && state.answer === undefined) this.#challenge(now, visit, state, answer)
    else if (state.name === 'verifying') this.#verified(now, visit, state, answer)
  }

  /** Lets somebody in that waits. */
  approve(key: string): void {
    for (const visit of this.#waitingWith(key)) this.#admit(visit, new Uint8Array())
  }

  /** Turns somebody away that waits. */
  deny(now: number, key: string): void {
    for (const visit of this.#waitingWith(key)) {
      this.#deny(now, visit, { code: 'not-approved', text: 'The host did not let you in' })
    }
  }

  /** Tells somebody who is in that they are not any more. Their tunnel stays until they have heard it. */
  dismiss(now: number, id: string, refusal: Refusal): void {
    const visit = this.#visits.get(id)
    if (visit === undefined) return
    this.#quarantine.add(visit)
    this.#deny(now, visit, refusal)
  }

  handleTimeout(now: number): void {
    for (const visit of this.#quarantine) {
      if (now < this.#endOf(visit)) continue
      this.#forget(visit)
      this.#events.push({ type: 'gone', visitor: visit.visitor })
    }
  }

  pollTransmit(): HostAdmissionTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): HostAdmissionEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...Array.from(this.#quarantine, (visit) => this.#endOf(visit)))
  }

  #handle(now: number, visit: Visit, message: AdmissionMessage): void {
    const { state } = visit
    if (state.name === 'denied' || state.name === 'admitted') {
      this.#send(visit, state.answer)
      return
    }
    switch (message.type) {
      case 'ask':
        if (state.name === 'asked' && this.#options.kind === 'approve') this.#await(now, visit)
        else if (state.name === 'waiting' || state.name === 'asked') this.#send(visit, { type: 'waiting' })
        break
      case 'start':
        if (state.name === 'asked') this.#start(now, visit, message.bytes)
        else if (state.name === 'guess' && state.answer !== undefined) this.#send(visit, state.answer)
        break
      case 'finish':
        if (state.name !== 'guess' || state.answer === undefined) break
        visit.state = { name: 'verifying', guesser: state.guesser, proof: message.proof }
        this.#ask({ kind: 'verify', id: visit.visitor.id, message: message.bytes })
        break
      case 'abort':
        if (state.name === 'guess') this.#wrong(now, visit)
        break
      default:
        this.counters.count('admission-unexpected')
    }
  }

  #start(now: number, visit: Visit, start: Uint8Array): void {
    const { kind, register } = this.#options
    const { visitor, network } = visit
    if (kind !== 'password') return
    const guesser = { key: visitor.key, network, isKnown: register.isKnown(visitor.key, 'password') }
    if (!this.#limiter.take(now, guesser)) {
      this.counters.count('password-guess-rate')
      const text = 'The password was tried too often: wait a minute'
      this.#deny(now, visit, { code: 'password-limited', text })
      return
    }
    visit.state = { name: 'guess', guesser }
    visit.endsAt = now + GuessMs
    this.#ask({ kind: 'respond', id: visitor.id, message: start })
  }

  #challenge(
    now: number,
    visit: Visit,
    state: Extract<State, { name: 'guess' }>,
    answer: PasswordAnswer,
  ): void {
    if (answer.kind === 'done' && answer.message !== undefined) {
      state.answer = { type: 'challenge', bytes: answer.message }
      this.#send(visit, state.answer)
    } else if (answer.kind === 'unavailable') {
      // Nothing was answered, so nothing was learnt.
      this.#limiter.giveBack(state.guesser)
      this.#deny(now, visit, busy())
    } else this.#wrong(now, visit)
  }

  #verified(
    now: number,
    visit: Visit,
    { guesser, proof }: Extract<State, { name: 'verifying' }>,
    answer: PasswordAnswer,
  ): void {
    const { crypto } = this.#options
    const sessionKey = answer.kind === 'done' ? answer.sessionKey : undefined
    const { binding } = visit.visitor
    if (sessionKey === undefined || !crypto.equal(proof, tunnelProof(crypto, sessionKey, 'guest', binding))) {
      this.#wrong(now, visit)
      return
    }
    this.#limiter.giveBack(guesser)
    this.#admit(visit, tunnelProof(crypto, sessionKey, 'host', binding))
  }

  #await(now: number, visit: Visit): void {
    const waiting = Array.from(this.#quarantine).filter(({ state }) => state.name === 'waiting')
    const near = waiting.filter(({ network }) => network === visit.network)
    const again = waiting.filter(({ visitor }) => visitor.key === visit.visitor.key)
    if (waiting.length >= MaxWaiting || near.length >= MaxWaitingPerNetwork) {
      this.#deny(now, visit, busy())
      return
    }
    visit.state = { name: 'waiting' }
    this.#send(visit, { type: 'waiting' })
    // Somebody whose path was lost meanwhile asks once.
    if (again.length === 0) this.#events.push({ type: 'asks', visitor: visit.visitor })
  }

  #admit(visit: Visit, proof: Uint8Array): void {
    const { kind, register } = this.#options
    const { visitor } = visit
    try {
      register.know({
        key: visitor.key,
        name: visitor.name,
        by: kind === 'password' ? 'password' : 'approval',
      })
    } catch (error) {
      this.#events.push({ type: 'store-failed', error })
    }
    const answer: AdmissionMessage = { type: 'admitted', proof }
    visit.state = { name: 'admitted', answer }
    this.#quarantine.delete(visit)
    this.#ask({ kind: 'forget', id: visitor.id })
    this.#send(visit, answer)
    this.#events.push({ type: 'admitted', visitor })
  }

  #wrong(now: number, visit: Visit): void {
    this.#events.push({ type: 'wrong-password', visitor: visit.visitor })
    visit.state = { name: 'asked' }
    this.#deny(now, visit, { code: 'password-wrong', text: 'The password is not the one of this room' })
  }

  #deny(now: number, visit: Visit, { code, text }: Refusal): void {
    const answer: AdmissionMessage = { type: 'denied', code, text }
    visit.state = { name: 'denied', answer }
    visit.endsAt = now + DenialMs
    this.#ask({ kind: 'forget', id: visit.visitor.id })
    this.#send(visit, answer)
  }

  /** A guest that leaves without a proof has seen an answer, and guessed wrong. */
  #forget(visit: Visit): void {
    const { state, visitor } = visit
    this.#visits.delete(visitor.id)
    this.#quarantine.delete(visit)
    if (state.name !== 'guess' && state.name !== 'verifying') return
    this.#ask({ kind: 'forget', id: visitor.id })
    if (state.name === 'guess' && state.answer !== undefined) {
      this.#events.push({ type: 'wrong-password', visitor })
    }
  }

  #endOf({ state, endsAt, heardAt }: Visit): number {
    return state.name === 'waiting' || state.name === 'asked' ? Math.min(endsAt, heardAt + SilenceMs) : endsAt
  }

  #waitingWith(key: string): readonly Visit[] {
    return Array.from(this.#quarantine).filter(
      ({ state, visitor }) => state.name === 'waiting' && visitor.key === key,
    )
  }

  #send({ visitor }: Visit, message: AdmissionMessage): void {
    this.#transmits.push({ type: 'send', visitor, message })
  }

  #ask(request: PasswordRequest): void {
    if (this.#options.kind === 'password') this.#transmits.push({ type: 'password', request })
  }
}

function refusalOf(untilMs: number | undefined): Refusal {
  if (untilMs === undefined) return { code: 'banned', text: 'The host has banned this key' }
  return { code: 'kicked', text: 'The host has removed this key, and lets it in again after some minutes' }
}

function busy(): Refusal {
  return { code: 'host-busy', text: 'Too many others wait to be let in: try again later' }
}
