/** The members of a room as its users see them: names that look alike are marked. */
import { toBase64 } from '../core/encoding.js'
import { formatKey } from '../core/identity.js'
import { lookAlike, lookAlikes } from '../core/look-alike.js'
import { memberAddress6 } from '../core/overlay.js'
import type { Crypto } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import type { RosterMember } from '../core/roster.js'
import type { RoomEvent } from './events.js'
import type { Member } from './room.js'

/** @param roster everybody, the host first */
export function memberList(
  crypto: Pick<Crypto, 'sha256'>,
  room: RoomId,
  roster: readonly RosterMember[],
): readonly Member[] {
  const alike = lookAlikes(roster.map(({ name }) => name))
  return roster.map(({ publicKey, name, address, online }, index) => {
    const address6 = memberAddress6(crypto, room, publicKey)
    const looksLike = alike[index]
    const key = formatKey(publicKey)
    return { name, key, address, address6, online, host: index === 0, ...(looksLike && { looksLike }) }
  })
}

/** What is told of a member that comes or goes. */
export function memberEvent(
  state: 'joined' | 'left',
  { name, address, publicKey }: Omit<RosterMember, 'online'>,
  roster: readonly RosterMember[],
): RoomEvent {
  const looksLike = state === 'joined' ? namesake(name, publicKey, roster) : undefined
  const key = formatKey(publicKey)
  return { event: 'member', state, name, address, key, ...(looksLike && { looksLike }) }
}

/** The name of somebody else that a name is, or looks like. */
export function namesake(
  name: string,
  publicKey: Uint8Array,
  roster: readonly RosterMember[],
): string | undefined {
  const key = toBase64(publicKey)
  const others = roster.filter((other) => toBase64(other.publicKey) !== key)
  return lookAlike(
    name,
    others.map((other) => other.name),
  )
}
