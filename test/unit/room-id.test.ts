import { describe, expect, it } from 'vitest'
import { identityFromSeed, keyHash, nameProblem } from '../../src/core/identity.js'
import { formatLink, maskInvites, parseRoomReference } from '../../src/core/invite.js'
import { defaultRoomId, formatRoomId, parseRoomId, roomIdMatches } from '../../src/core/room-id.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'

const { publicKey } = identityFromSeed(nodeCrypto, new SeededRandom('room').bytes(32))
const base64 = Buffer.from(publicKey).toString('base64')

describe('room ids', () => {
  it('ignores dashes, spaces and case', () => {
    expect(parseRoomId('CF83-e135 7eef')).toBe('cf83e1357eef')
  })

  it.each([
    ['cf83e', 'fewer than 6'],
    ['', 'fewer than 6'],
    ['f'.repeat(129), 'more than 128'],
    ['cf83x1', "'x' is not a hex digit"],
    ['cf83é135', 'not a hex digit'],
  ])('refuses %j with the reason', (text, reason) => {
    expect(() => parseRoomId(text)).toThrow(reason)
  })

  it('is any substring of the key hash, and by default its first 20 digits', () => {
    const hash = keyHash(nodeCrypto, publicKey)
    expect(defaultRoomId(nodeCrypto, publicKey)).toBe(hash.slice(0, 20))
    expect(roomIdMatches(nodeCrypto, hash.slice(50, 60), publicKey)).toBe(true)
    expect(roomIdMatches(nodeCrypto, hash, publicKey)).toBe(true)
    const other = hash.startsWith('0') ? '1' : '0'
    expect(roomIdMatches(nodeCrypto, other + hash.slice(1), publicKey)).toBe(false)
  })

  it('is shown in groups of four', () => {
    expect(formatRoomId('cf83e1357e')).toBe('cf83-e135-7e')
  })
})

describe('references to rooms', () => {
  const room = defaultRoomId(nodeCrypto, publicKey)
  const link = `gonet://join/${room}?key=${encodeURIComponent(base64)}`
  const secret = 'ab'.repeat(16)

  it('reads an id, a key and a link', () => {
    expect(parseRoomReference(nodeCrypto, room)).toEqual({ room })
    expect(parseRoomReference(nodeCrypto, base64)).toEqual({ room, hostKey: publicKey })
    const formatted = formatLink({ room, hostKey: publicKey, signal: ['mqtt', 'dht'] })
    expect(parseRoomReference(nodeCrypto, formatted)).toEqual({
      room,
      hostKey: publicKey,
      signal: ['mqtt', 'dht'],
    })
    expect(parseRoomReference(nodeCrypto, `gonet://join/${room}?key=${base64}`)).toEqual({
      room,
      hostKey: publicKey,
    })
  })

  it('reads an invite', () => {
    const invite = {
      id: '1234abcd',
      secret: new Uint8Array(16).fill(171),
      roomSecret: new Uint8Array(16).fill(1),
    }
    const text = formatLink({ room, hostKey: publicKey, signal: ['mqtt'], invite })
    expect(parseRoomReference(nodeCrypto, text)).toEqual({
      room,
      hostKey: publicKey,
      signal: ['mqtt'],
      invite,
    })
    const hidden = `room: gonet://join/${room}?key=${encodeURIComponent(base64)}&signal=mqtt&secret=***`
    expect(maskInvites(`room: ${text}`)).toBe(hidden)
    expect(maskInvites(link)).toBe(link)
  })

  it.each([
    [`gonet://join/abcdef?key=${encodeURIComponent(base64)}`, 'not of its room'],
    [`gonet://join/${room}?key=AAAA`, 'not a public key'],
    [`gonet://join/${room}?signal=../x`, 'not names'],
    [`gonet://join/${room}?port=1`, 'one of its parts'],
    [`gonet://join/${room}?secret=1`, 'only a part'],
    [`${link}&secret=${secret}`, 'only a part'],
    [`${link}&invite=1234abcd.${secret}`, 'only a part'],
    [`${link}&secret=${secret}&invite=1234abc.${secret}`, 'changed on the way'],
    [`${link}&secret=${secret}&invite=1234abcd.${secret.toUpperCase()}`, 'changed on the way'],
    [`${link}&secret=${secret.slice(1)}&invite=1234abcd.${secret}`, 'changed on the way'],
    [`${link}&secret=${secret}&invite=1234abcd.${secret}.00`, 'changed on the way'],
    [`gonet://join/${room}?secret=${secret}&invite=1234abcd.${secret}`, 'names no host'],
    [`${link}&signal=${'a'.repeat(1024)}`, 'more than 1024'],
    [`gonet://join/${room}?signal=mqtt&signal=dht`, 'twice'],
    [`gonet://leave/${room}`, 'does not begin'],
    ['gonet://join/?key=', 'fewer than 6'],
  ])('refuses %s', (wrong, reason) => {
    expect(() => parseRoomReference(nodeCrypto, wrong)).toThrow(reason)
  })
})

describe('names', () => {
  it.each(['alice', 'Ünï cödé', '李', 'a'.repeat(32), '👋'])('takes %j', (name) => {
    expect(nameProblem(name)).toBeUndefined()
  })

  it.each(['', 'a'.repeat(33), 'a:b', '*a', 'a\nb', 'a\u001b[31m', '\u202eabc', ' a', 'a\u0085', 'a\ud800'])(
    'refuses %j',
    (name) => {
      expect(nameProblem(name)).toBeTypeOf('string')
    },
  )
})
