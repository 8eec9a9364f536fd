/**
 * How a guest gets in, once it has a tunnel: at once, by a password, or after a person at the host has said yes
 * (docs/protocol.md, Admission). It repeats what it says until it is answered.
 */
import { Counters } from '../../core/bounded.js'
import { DecodeError } from '../../core/errors.js'
import type { Machine } from '../../core/machine.js'
import type { AdmissionKind } from '../../core/messages.js'
import type { PasswordAnswer, PasswordRequest } from '../../core/password-proof.js'
import type { Crypto } from '../../core/ports.js'
import { type TunnelBinding, tunnelProof } from './binding.js'
import { type AdmissionMessage, readAdmission } from './message.js'

const RepeatMs = 500
/** While a person is asked, here or there. */
const WaitMs = 5000

export type GuestAdmissionEvent =
  | { readonly type: 'admitted' }
  /** A person at the host is asked, or one here for the password: nobody knows how long it takes. */
  | { readonly type: 'waiting'; readonly for: 'approval' | 'password' }
  | { readonly type: 'refused'; readonly code: string; readonly text: string }

export type GuestAdmissionTransmit =
  | { readonly type: 'send'; readonly message: AdmissionMessage }
  | { readonly type: 'password'; readonly request: PasswordRequest }

type State =
  | { readonly name: 'asking' }
  | { readonly name: 'waiting' }
  /** The password is typed, or OPAQUE's next message is computed. */
  | { readonly name: 'computing' }
  | { readonly name: 'started' }
  | { readonly name: 'finished'; readonly sessionKey: Uint8Array }
  | { readonly name: 'over' }

export interface GuestAdmissionOptions {
  readonly crypto: Pick<Crypto, 'equal' | 'hmacSha256'>
  /** As the host's beacon says. */
  readonly kind: AdmissionKind
  /** Whether this guest has a password, and so expects to be asked for it. */
  readonly hasPassword: boolean
  /** Names the login, on this side. */
  readonly id: string
  readonly binding: TunnelBinding
}

/** One tunnel's admission. Make it when the tunnel is up. */
export class GuestAdmission implements Machine<GuestAdmissionEvent, GuestAdmissionTransmit> {
  readonly counters: Counters = new Counters()
  readonly #options: GuestAdmissionOptions
  readonly #transmits: GuestAdmissionTransmit[] = []
  readonly #events: GuestAdmissionEvent[] = []
  #state: State = { name: 'over' }
  #said: AdmissionMessage = { type: 'ask' }
  #repeatAt: number | undefined

  constructor(options: GuestAdmissionOptions) {
    this.#options = options
  }

  /** Begins. Call it once. */
  start(now: number): void {
    const { hasPassword, id, kind } = this.#options
    if (kind === 'password') {
      this.#state = { name: 'computing' }
      this.#password({ kind: 'start', id })
      this.#events.push({ type: 'waiting', for: 'password' })
      this.#say(now, { type: 'ask' }, WaitMs)
    } else if (hasPassword) {
      // Whoever has a password for a room means one that asks for it: another may be somebody else's.
      this.#refuse('password-not-asked', 'The host asks for no password, though you have one for this room')
    } else if (kind === 'approve') {
      this.#state = { name: 'asking' }
      this.#say(now, { type: 'ask' }, RepeatMs)
    } else this.#events.push({ type: 'admitted' })
  }

  /** Takes an admission message of the host; what is wrong with it is counted. */
  handleMessage(now: number, payload: Uint8Array): void {
    try {
      this.#handle(now, readAdmission(payload))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
  }

  /** What became of the last `password` transmit. */
  handlePassword(now: number, answer: PasswordAnswer): void {
    if (this.#state.name !== 'computing') return
    if (answer.kind === 'unavailable') {
      this.#refuse('password-needed', 'The host asks for a password, and there is none here')
    } else if (answer.kind === 'wrong') {
      this.#transmits.push({ type: 'send', message: { type: 'abort' } })
      this.#refuse('password-wrong', 'The password is not the one of this room')
    } else this.#computed(now, answer)
  }

  handleTimeout(now: number): void {
    if (this.#repeatAt === undefined || now < this.#repeatAt) return
    const isSlow = this.#state.name === 'waiting' || this.#state.name === 'computing'
    this.#say(now, this.#said, isSlow ? WaitMs : RepeatMs)
  }

  pollTransmit(): GuestAdmissionTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): GuestAdmissionEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return this.#repeatAt
  }

  #handle(now: number, message: AdmissionMessage): void {
    const state = this.#state
    switch (message.type) {
      case 'denied':
        this.#refuse(message.code, message.text)
        break
      case 'waiting':
        if (state.name !== 'asking') break
        this.#state = { name: 'waiting' }
        this.#repeatAt = now + WaitMs
        this.#events.push({ type: 'waiting', for: 'approval' })
        break
      case 'challenge':
        if (state.name === 'started') this.#challenged(now, message.bytes)
        break
      case 'admitted':
        this.#admitted(state, message.proof)
        break
      default:
        this.counters.count('admission-unexpected')
    }
  }

  #challenged(now: number, message: Uint8Array): void {
    const { binding, id } = this.#options
    this.#state = { name: 'computing' }
    this.#password({ kind: 'finish', id, message, hostKey: binding.hostKey })
    this.#said = { type: 'ask' }
    this.#repeatAt = now + WaitMs
  }

  #computed(now: number, { message, sessionKey }: Extract<PasswordAnswer, { kind: 'done' }>): void {
    const { binding, crypto } = this.#options
    if (message === undefined) return
    if (sessionKey === undefined) {
      this.#state = { name: 'started' }
      this.#say(now, { type: 'start', bytes: message }, RepeatMs)
    } else {
      this.#state = { name: 'finished', sessionKey }
      const proof = tunnelProof(crypto, sessionKey, 'guest', binding)
      this.#say(now, { type: 'finish', proof, bytes: message }, RepeatMs)
    }
  }

  #admitted(state: State, proof: Uint8Array): void {
    const { binding, crypto } = this.#options
    if (state.name === 'finished') {
      const isProved = crypto.equal(proof, tunnelProof(crypto, state.sessionKey, 'host', binding))
      if (!isProved) {
        this.counters.count('admission-proof-wrong')
        return
      }
    } else if (state.name !== 'asking' && state.name !== 'waiting') return
    this.#over()
    this.#events.push({ type: 'admitted' })
  }

  #refuse(code: string, text: string): void {
    this.#over()
    this.#events.push({ type: 'refused', code, text })
  }

  #over(): void {
    this.#state = { name: 'over' }
    this.#repeatAt = undefined
    if (this.#options.kind === 'password') this.#password({ kind: 'forget', id: this.#options.id })
  }

  #say(now: number, message: AdmissionMessage, repeatMs: number): void {
    this.#said = message
    this.#transmits.push({ type: 'send', message })
    this.#repeatAt = now + repeatMs
  }

  #password(request: PasswordRequest): void {
    this.#transmits.push({ type: 'password', request })
  }
}
