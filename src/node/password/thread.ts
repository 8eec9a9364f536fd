/** What a worker thread of its own does with passwords: OPAQUE would stop everything else for half a second. */
import { parentPort } from 'node:worker_threads'
import { ready } from '@serenity-kit/opaque'
import type { PasswordAnswer, PasswordRequest } from '../../core/password-proof.js'
import {
  OpaqueGuest,
  OpaqueHost,
  type OpaqueSide,
  type PasswordRegistration,
  registerPassword,
} from './opaque.js'

/** What the thread is asked: first for one of the sides, then what that side is asked. */
export type ThreadRequest =
  | { readonly kind: 'guest'; readonly password: string }
  | { readonly kind: 'host'; readonly hostKey: Uint8Array; readonly secret: PasswordRegistration | string }
  | PasswordRequest

/** The answer to one request, in the order of requests. */
export type ThreadAnswer = PasswordAnswer | PasswordRegistration

let side: OpaqueSide | undefined

// A worker's port is there.
const port = parentPort
if (port !== null) {
  port.on('message', (request: ThreadRequest) => {
    void ready.then(() => {
      const answer = answerTo(request)
      if (answer !== undefined) port.postMessage(answer)
    })
  })
}

function answerTo(request: ThreadRequest): ThreadAnswer | undefined {
  switch (request.kind) {
    case 'guest':
      side = new OpaqueGuest(request.password)
      return undefined
    case 'host': {
      const { hostKey, secret } = request
      const registration = typeof secret === 'string' ? registerPassword(secret, hostKey) : secret
      side = new OpaqueHost(registration, hostKey)
      return registration
    }
    case 'forget':
      side?.perform(request)
      return undefined
    default:
      return side?.perform(request) ?? { kind: 'unavailable' }
  }
}
