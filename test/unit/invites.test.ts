/** Invites at their host, by themselves: what is proved, reserved, used and kept. */
import { beforeEach, describe, expect, it } from 'vitest'
import { GonetError } from '../../src/core/errors.js'
import { formatKey } from '../../src/core/identity.js'
import { parseRoomReference } from '../../src/core/invite.js'
import { proveInvite } from '../../src/core/invite-proof.js'
import type { Join } from '../../src/core/messages.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { HostInvites, type NewInvite } from '../../src/room/admission/host-invites.js'
import type { InviteOptions } from '../../src/room/admission/invite-register.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'

const MinuteMs = 60_000
const random = new SeededRandom('invites')
const hostKey = crypto.signKeyPair(random.bytes(32)).publicKey
const room = defaultRoomId(crypto, hostKey)

let store: MemoryStore
let unixMs: number
let invites: HostInvites

const newInvites = (): HostInvites =>
  new HostInvites({
    crypto,
    random,
    store,
    wall: { unixMs: () => unixMs },
    admission: 'invite',
    room,
    hostKey,
    signal: ['mqtt'],
  })
/** A join by whoever has the link. */
const joinBy = ({ link }: NewInvite, username: string): Join => {
  const join: Join = {
    action: 'join',
    room,
    publicKey: crypto.sha256(new TextEncoder().encode(username)),
    username,
    host: hostKey,
    seal: random.bytes(32),
    epoch: '0000000100c0ffee',
    box: random.bytes(32),
    wireguard: random.bytes(32),
    nonce: random.bytes(16),
    ice: 'u7Gh3kAb 0123456789abcdefghijklmn',
    candidates: '',
  }
  return { ...join, invite: proveInvite(crypto, parseRoomReference(crypto, link).invite!, join) }
}
const refusal = (join: Join, now = 0): string | undefined => invites.refusal(now, join)?.code
const admission = ({ publicKey, username, invite }: Join): string | undefined =>
  invites.admit({ key: formatKey(publicKey), name: username, invite: invite?.id })?.code
const create = (options: InviteOptions = {}): NewInvite => invites.create(options)

beforeEach(() => {
  store = new MemoryStore()
  unixMs = 1_800_000_000_000
  invites = newInvites()
})

describe('a proof', () => {
  it('is for its join: whoever puts it into another shows nothing', () => {
    const invite = create()
    const join = joinBy(invite, 'anna')
    expect(refusal(join)).toBeUndefined()
    for (const change of [
      { publicKey: random.bytes(32) },
      { username: 'mallory' },
      { box: random.bytes(32) },
      { wireguard: random.bytes(32) },
      { nonce: random.bytes(16) },
      { epoch: '0000000200c0ffee' },
      { candidates: 'host 192.0.2.1:5000' },
    ]) {
      expect(refusal({ ...join, ...change })).toBe('invite-unknown')
      expect(invites.secretOf({ ...join, ...change })).toBeUndefined()
    }
  })

  it('for an invite that there is not is none, whatever it is made with', () => {
    const join = joinBy(create(), 'anna')
    const made = proveInvite(
      crypto,
      { id: 'ffffffff', secret: new Uint8Array(16) },
      { ...join, invite: undefined },
    )
    expect(refusal({ ...join, invite: made })).toBe('invite-unknown')
  })
})

describe('an invite for one', () => {
  it('waits for the guest whose join came first, and then for another', () => {
    const invite = create({ once: true })
    const [anna, ben] = [joinBy(invite, 'anna'), joinBy(invite, 'ben')]
    expect(refusal(anna, 0)).toBeUndefined()
    expect(refusal(ben, MinuteMs - 1)).toBe('invite-busy')
    expect(refusal(anna, MinuteMs - 1)).toBeUndefined()
    expect(refusal(ben, 2 * MinuteMs)).toBeUndefined()
    expect(refusal(anna, 2 * MinuteMs)).toBe('invite-busy')
  })

  it('is used by the one whose tunnel is up first, whoever it waits for', () => {
    const invite = create({ once: true })
    const [anna, ben] = [joinBy(invite, 'anna'), joinBy(invite, 'ben')]
    expect(refusal(anna, 0)).toBeUndefined()
    expect(refusal(ben, 2 * MinuteMs)).toBeUndefined()
    expect(admission(anna)).toBeUndefined()
    expect(admission(ben)).toBe('invite-used')
    expect(admission(anna)).toBeUndefined()
    invites = newInvites()
    expect(refusal(ben, 0)).toBe('invite-used')
    expect(refusal(anna, 0)).toBeUndefined()
  })

  it('is used by nobody where that cannot be kept', () => {
    const invite = create({ once: true })
    const anna = joinBy(invite, 'anna')
    store.write = () => {
      throw new GonetError('store-failed', 'disk full')
    }
    expect(() => admission(anna)).toThrow('disk full')
    expect(invites.isAdmitted(formatKey(anna.publicKey))).toBe(false)
    expect(invites.all).toMatchObject([{ state: 'open', usedBy: [] }])
  })

  it('that was revoked or has expired between join and tunnel lets nobody in', () => {
    const [revoked, expiring] = [create(), create({ expiresInMs: 1000 })]
    const [anna, ben] = [joinBy(revoked, 'anna'), joinBy(expiring, 'ben')]
    expect([refusal(anna), refusal(ben)]).toEqual([undefined, undefined])
    invites.revoke(revoked.id)
    unixMs += 1000
    expect([admission(anna), admission(ben)]).toEqual(['invite-revoked', 'invite-expired'])
    expect(admission({ ...anna, invite: undefined })).toBe('invite-needed')
  })
})

describe('what a host keeps of invites', () => {
  it('is bounded: what has ended gives way, and what has not does not', () => {
    const first = create({ expiresInMs: 1000 })
    for (let made = 1; made < 1000; made += 1) create()
    expect(() => create()).toThrow('1000 open invites')
    unixMs += 1000
    create()
    expect(invites.all).toHaveLength(1000)
    expect(invites.all.map(({ id }) => id)).not.toContain(first.id)
  })

  it('is not begun anew where it cannot be read', () => {
    for (const text of ['', '{}', '{"version":1,"invites":[{"id":"x"}],"admitted":[]}']) {
      store.write('invites', new TextEncoder().encode(text))
      expect(newInvites).toThrow('not what gonet wrote')
    }
    store.remove('invites')
    store.write('room-secret', new TextEncoder().encode('00\n'))
    expect(newInvites).toThrow('not what gonet wrote')
  })

  it('is nothing that makes no sense', () => {
    expect(() => create({ name: 'a:b' })).toThrow('no colon')
    for (const expiresInMs of [0, -1, NaN, Infinity])
      expect(() => create({ expiresInMs })).toThrow('a year at most')
    expect(() => invites.revoke('ffffffff')).toThrow('no invite ffffffff')
  })
})
