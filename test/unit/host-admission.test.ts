/** The host's side of admission, by itself: what crosses the tunnel, and what comes of it. */
import { describe, expect, it } from 'vitest'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { type TunnelBinding, tunnelProof } from '../../src/room/admission/binding.js'
import { HostAdmission } from '../../src/room/admission/host-admission.js'
import { writeAdmission } from '../../src/room/admission/message.js'
import { AdmissionRegister } from '../../src/room/admission/register.js'
import { MemoryStore } from '../sim/memory-store.js'

const bytes = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const binding: TunnelBinding = {
  hostKey: bytes(1),
  guestKey: bytes(2),
  hostWireguard: bytes(3),
  guestWireguard: bytes(4),
  epoch: '0000000112345678',
}
const visitor = { id: 'tunnel', key: 'key', name: 'anna', isInvited: false, binding }
const sessionKey = new Uint8Array(64).fill(9)

/** A guest that has had its challenge, and now proves to have the session key for some tunnel. */
function finish(proof: Uint8Array): HostAdmission {
  const register = new AdmissionRegister(new MemoryStore(), { unixMs: () => 0 })
  const admission = new HostAdmission({ crypto, kind: 'password', allow: [], register })
  const say = (message: Parameters<typeof writeAdmission>[0]): void =>
    admission.handleMessage(0, visitor.id, writeAdmission(message), '192.0.2.1')
  expect(admission.enter(0, visitor)).toBe(false)
  say({ type: 'start', bytes: bytes(5) })
  admission.handlePassword(0, visitor.id, { kind: 'done', message: bytes(6) })
  say({ type: 'finish', proof, bytes: bytes(7) })
  admission.handlePassword(0, visitor.id, { kind: 'done', sessionKey })
  return admission
}

describe('a login', () => {
  it('lets in who proves it for this tunnel', () => {
    const admission = finish(tunnelProof(crypto, sessionKey, 'guest', binding))
    expect(admission.pollEvent()).toEqual({ type: 'admitted', visitor })
    expect(admission.isIn(visitor.id)).toBe(true)
  })

  it.each(['hostKey', 'guestKey', 'hostWireguard', 'guestWireguard'] as const)('is for its %s', (part) => {
    const admission = finish(tunnelProof(crypto, sessionKey, 'guest', { ...binding, [part]: bytes(8) }))
    expect(admission.isIn(visitor.id)).toBe(false)
  })

  it('that was proved for another tunnel is none', () => {
    const other = { ...binding, guestWireguard: bytes(8) }
    const admission = finish(tunnelProof(crypto, sessionKey, 'guest', other))
    expect(admission.pollEvent()).toEqual({ type: 'wrong-password', visitor })
    expect(admission.isIn(visitor.id)).toBe(false)
  })

  it('is not proved by the proof of the host, or by that of another epoch', () => {
    expect(finish(tunnelProof(crypto, sessionKey, 'host', binding)).isIn(visitor.id)).toBe(false)
    const old = { ...binding, epoch: '0000000012345678' }
    expect(finish(tunnelProof(crypto, sessionKey, 'guest', old)).isIn(visitor.id)).toBe(false)
  })
})
