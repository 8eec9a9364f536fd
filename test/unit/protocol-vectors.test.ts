/** The vectors of docs/protocol.md, by which a second implementation checks itself, hold for this one. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { guestSender } from '../../src/core/host.js'
import { formatKey, identityFromSeed, keyHash } from '../../src/core/identity.js'
import { formatLink } from '../../src/core/invite.js'
import { readMessage, writeMessage } from '../../src/core/messages.js'
import { defaultSubnet, formatSubnet, hostAddress, memberAddress6 } from '../../src/core/overlay.js'
import { PuzzleSolver, puzzleOf, solvedBits, withSolution } from '../../src/core/puzzle.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { type RosterNumber, writeRoster } from '../../src/core/roster.js'
import { NoLink, writeChange } from '../../src/core/roster-change.js'
import {
  beaconKey,
  openBeacon,
  openJoin,
  openReply,
  presharedKey,
  roomTopic,
  sealBeacon,
  sealJoin,
  sealReply,
} from '../../src/core/sealing.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { fragmentRoster, writeControl } from '../../src/room/control.js'

const text = readFileSync(fileURLToPath(new URL('../../docs/protocol.md', import.meta.url)), 'utf8')
const vectors = text.slice(text.indexOf('## Test vectors'))

/** The value in a row of a table whose first cell begins so, without its quotes. */
function value(name: string): string {
  const row = vectors.split('\n').find((line) => line.startsWith(`| ${name}`))
  return /\| [^|]*?`([^`]*)`[^|]*\|$/.exec(row ?? '')?.[1] ?? `no row for ${name}`
}

/** The messages in the order in which they stand: join, beacon, welcome. */
const messages = Array.from(text.matchAll(/```yaml\n(version: 1\n.*?)```/gs), ([, yaml]) =>
  new TextEncoder().encode(yaml),
)
const counting = (from: number, length = 32): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => from + index)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const sha256 = (bytes: Uint8Array | undefined): string => hex(crypto.sha256(bytes!))

const host = identityFromSeed(crypto, counting(0))
const guest = identityFromSeed(crypto, counting(0x20))
const seal = crypto.boxKeyPair(counting(0x40))
const box = crypto.boxKeyPair(counting(0x60))
const room = defaultRoomId(crypto, host.publicKey)
const nonces = { bytes: (length: number) => new Uint8Array(length).fill(7), fraction: () => 0 }
const [join, beacon, welcome] = messages as [Uint8Array, Uint8Array, Uint8Array]

describe('the test vectors of the protocol', () => {
  it('hold for identities, room ids and links', () => {
    expect(value('host key')).toBe(hex(host.publicKey))
    expect(value('in base64')).toBe(formatKey(host.publicKey))
    expect(value('key hash')).toBe(keyHash(crypto, host.publicKey))
    expect(value('room id')).toBe(room)
    expect(value('link')).toBe(formatLink({ room, hostKey: host.publicKey, signal: ['mqtt'] }))
    expect(value('guest key')).toBe(hex(guest.publicKey))
  })

  it('hold for what derives from the room', () => {
    expect(value('topic')).toBe(roomTopic(crypto, room))
    expect(value('beacon key')).toBe(hex(beaconKey(crypto, room)))
    const subnet = defaultSubnet(crypto, host.publicKey, [])
    expect(vectors).toContain(`| \`${formatSubnet(subnet)}\`, host \`${hostAddress(subnet)}\` |`)
    expect(value("host's IPv6")).toBe(memberAddress6(crypto, room, host.publicKey))
    expect(value("guest's IPv6")).toBe(memberAddress6(crypto, room, guest.publicKey))
  })

  it('hold for messages and their hashes', () => {
    expect(messages).toHaveLength(3)
    for (const [bytes, signer] of [
      [join, guest],
      [beacon, host],
      [welcome, host],
    ] as const) {
      const { message, hash } = readMessage(crypto, bytes)
      expect(writeMessage(crypto, signer, message)).toEqual(bytes)
      if (message.action !== 'host') expect(vectors).toContain(`\`${hex(hash)}\``)
    }
  })

  it('hold for records and the preshared key', () => {
    expect(vectors).toContain(`public | \`${hex(seal.publicKey)}\``)
    expect(vectors).toContain(`public | \`${hex(box.publicKey)}\``)
    expect(value('guest id')).toBe(guestSender(crypto, box.publicKey))
    const unsolved = sealJoin(crypto, nonces, box, seal.publicKey, join)!
    const puzzle = puzzleOf(crypto, '0000000100c0ffee', seal.publicKey, unsolved)
    expect(value('puzzle of the join')).toBe(hex(puzzle))
    const solver = new PuzzleSolver(crypto, puzzle)
    expect(solver.solve(12, 1_000_000)).toBe(true)
    expect(value('its first solution')).toBe(hex(solver.solution))
    const records = [
      sealBeacon(crypto, nonces, beaconKey(crypto, room), beacon),
      withSolution(unsolved, solver.solution),
      sealReply(crypto, nonces, seal, box.publicKey, welcome)!,
    ] as const
    for (const record of records) {
      expect(vectors).toContain(`| ${record.length} bytes, SHA-256 \`${sha256(record)}\` |`)
    }
    expect(openBeacon(crypto, beaconKey(crypto, room), records[0])).toEqual(beacon)
    expect(solvedBits(crypto, puzzle, records[1])).toBeGreaterThanOrEqual(12)
    expect(openJoin(crypto, seal, records[1])).toEqual({ message: join, box: box.publicKey })
    expect(openReply(crypto, box, seal.publicKey, records[2])).toEqual(welcome)
    const key = presharedKey(crypto, crypto.sha512(join), crypto.sha512(welcome))
    expect(value('preshared key')).toBe(hex(key))
  })

  it('hold for the roster', () => {
    const [alice, bob] = [
      { publicKey: host.publicKey, name: 'alice', address: '10.90.0.1', online: true },
      { publicKey: guest.publicKey, name: 'bob', address: '10.90.0.2', online: true },
    ]
    const sign = crypto.signer(host.secretKey)
    const [first, second] = [1, 2].map((version) => ({ term: 1, version })) as [RosterNumber, RosterNumber]
    const begun = writeChange(crypto, sign, room, {
      ...first,
      previous: NoLink,
      members: [{ ...alice, removed: false }],
    })
    const change = writeChange(crypto, sign, room, {
      ...second,
      previous: begun.link,
      members: [{ ...bob, removed: false }],
    })
    const roster = writeRoster(sign, room, { ...second, link: change.link, members: [alice, bob] })
    const written = vectors.replace(/\s/g, '')
    expect(written).toContain(hex(begun.link))
    expect(written).toContain(hex(change.bytes))
    expect(written).toContain(hex(roster))
    const [piece] = fragmentRoster(second, roster)
    expect(hex(writeControl(piece!))).toBe(`02000000010000000200000001${hex(roster)}`)
    expect(hex(writeControl({ type: 'roster-change', bytes: change.bytes }))).toBe(`0a${hex(change.bytes)}`)
    expect(hex(writeControl({ type: 'state', number: second }))).toBe('030000000100000002')
    expect(hex(writeControl({ type: 'roster-receipt', number: second }))).toBe('0c0000000100000002')
  })
})
