/** OPAQUE (RFC 9807), as @serenity-kit/opaque has it: one object a side, each login by its id. It blocks. */
import { client, server } from '@serenity-kit/opaque'
import { toBase64 } from '../../core/encoding.js'
import type { PasswordAnswer, PasswordRequest } from '../../core/password-proof.js'

/** What a host keeps of its room's password: nothing that says the password, but what to test guesses by. */
export interface PasswordRegistration {
  readonly setup: string
  readonly record: string
}

/** How hard guesses are made for whoever steals a registration: Argon2id, as its RFC has it for little memory. */
export type KeyStretching = NonNullable<Parameters<typeof client.finishLogin>[0]['keyStretching']>

/** One password for all members. */
const User = 'gonet'
/** Logins under way on one side. */
const MaxLogins = 512

const Wrong = { kind: 'wrong' } as const

/** @param hostKey the host's Ed25519 key: who relays a login for another host proves nothing */
export function registerPassword(
  password: string,
  hostKey: Uint8Array,
  keyStretching: KeyStretching = 'memory-constrained',
): PasswordRegistration {
  const setup = server.createSetup()
  const { clientRegistrationState, registrationRequest } = client.startRegistration({ password })
  const { registrationResponse } = server.createRegistrationResponse({
    serverSetup: setup,
    userIdentifier: User,
    registrationRequest,
  })
  const { registrationRecord: record } = client.finishRegistration({
    password,
    clientRegistrationState,
    registrationResponse,
    identifiers: identifiers(hostKey),
    keyStretching,
  })
  return { setup, record }
}

/** What a password is proved with, at one side. */
export interface OpaqueSide {
  perform(request: PasswordRequest): PasswordAnswer
}

export class OpaqueGuest implements OpaqueSide {
  readonly #password: string
  readonly #keyStretching: KeyStretching
  readonly #logins = new Logins()

  constructor(password: string, keyStretching: KeyStretching = 'memory-constrained') {
    this.#password = password
    this.#keyStretching = keyStretching
  }

  perform(request: PasswordRequest): PasswordAnswer {
    const { id, kind } = request
    const password = this.#password
    if (kind === 'start') {
      const { clientLoginState, startLoginRequest } = client.startLogin({ password })
      this.#logins.add(id, clientLoginState)
      return { kind: 'done', message: decode(startLoginRequest) }
    }
    const clientLoginState = this.#logins.take(id)
    if (kind !== 'finish' || clientLoginState === undefined) return Wrong
    const finished = attempt(() =>
      client.finishLogin({
        clientLoginState,
        loginResponse: encode(request.message),
        password,
        identifiers: identifiers(request.hostKey),
        keyStretching: this.#keyStretching,
      }),
    )
    if (finished === undefined) return Wrong
    const { finishLoginRequest, sessionKey } = finished
    return { kind: 'done', message: decode(finishLoginRequest), sessionKey: decode(sessionKey) }
  }
}

export class OpaqueHost implements OpaqueSide {
  readonly #registration: PasswordRegistration
  readonly #identifiers: { readonly server: string }
  readonly #logins = new Logins()

  constructor(registration: PasswordRegistration, hostKey: Uint8Array) {
    this.#registration = registration
    this.#identifiers = identifiers(hostKey)
  }

  perform(request: PasswordRequest): PasswordAnswer {
    const { id, kind } = request
    const { setup, record } = this.#registration
    if (kind === 'respond') {
      const started = attempt(() =>
        server.startLogin({
          serverSetup: setup,
          registrationRecord: record,
          startLoginRequest: encode(request.message),
          userIdentifier: User,
          identifiers: this.#identifiers,
        }),
      )
      if (started === undefined) return Wrong
      this.#logins.add(id, started.serverLoginState)
      return { kind: 'done', message: decode(started.loginResponse) }
    }
    const serverLoginState = this.#logins.take(id)
    if (kind !== 'verify' || serverLoginState === undefined) return Wrong
    const finishLoginRequest = encode(request.message)
    const finished = attempt(() =>
      server.finishLogin({ serverLoginState, finishLoginRequest, identifiers: this.#identifiers }),
    )
    return finished === undefined ? Wrong : { kind: 'done', sessionKey: decode(finished.sessionKey) }
  }
}

/** What is kept between a login's messages; each is used once. */
class Logins {
  readonly #states = new Map<string, string>()

  add(id: string, state: string): void {
    this.#states.set(id, state)
    const [oldest] = this.#states.keys()
    if (this.#states.size > MaxLogins && oldest !== undefined) this.#states.delete(oldest)
  }

  take(id: string): string | undefined {
    const state = this.#states.get(id)
    this.#states.delete(id)
    return state
  }
}

/** The library throws where bytes are not of their form, as it answers nothing where a password is wrong. */
function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch {
    return undefined
  }
}

function identifiers(hostKey: Uint8Array): { readonly server: string } {
  return { server: toBase64(hostKey) }
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}

function decode(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64url'))
}
