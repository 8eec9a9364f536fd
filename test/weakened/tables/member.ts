/** Against members that turn hostile, but for the chat. */
import type { Weakening } from '../weakening.js'

const device = 'unit/wireguard-device.test.ts'
const roster = 'unit/roster.test.ts'
const chain = 'unit/roster-chain.test.ts'
const names = 'unit/member-names.test.ts'
const rosters = 'sim/roster.test.ts'
const overlay = 'unit/overlay.test.ts'
const stack = 'unit/ip-stack.test.ts'
const members = 'unit/hostile-member.test.ts'
const roomId = 'unit/room-id.test.ts'
const packets = 'sim/packets.test.ts'
const ports = 'unit/udp-ports.test.ts'

export const member: readonly Weakening[] = [
  {
    rule: 'a guest closes no room',
    source: 'room/host-room.ts',
    defence: 'this.counters.count(`${message.type}-from-guest`)',
    weakened: 'this.leave(now, { close: true })',
    attack: ['sim/close-and-ping.test.ts', 'a room that its host closes > is closed by nobody else'],
  },
  {
    rule: 'a peer sends from its own addresses only',
    source: 'transports/wireguard/tunnel.ts',
    defence: 'this.#environment.ownerOf(packet, header.sourceOffset, header.addressLength) !== this',
    weakened: 'this.#environment.ownerOf(packet, header.sourceOffset, header.addressLength) === null',
    attack: [device, 'transport > drops inner packets from addresses that are not the peer’s'],
  },
  {
    rule: 'peers on one device are kept apart',
    source: 'transports/wireguard/tunnel.ts',
    defence: 'this.#environment.ownerOf(packet, header.sourceOffset, header.addressLength) !== this',
    weakened: 'this.#environment.ownerOf(packet, header.sourceOffset, header.addressLength) === undefined',
    attack: [device, 'peers > are kept apart, many on one device'],
  },
  {
    rule: 'addresses are compared to their last bit',
    source: 'transports/wireguard/allowed-addresses.ts',
    defence: 'bits >= 16 ? word : word & (0xffff << (16 - bits))',
    weakened: 'word & 0xff00',
    attack: [
      'unit/wireguard-allowed-addresses.test.ts',
      'allowed addresses > know nobody else, and do not mix the families',
    ],
  },
  {
    rule: 'addresses that were taken away are gone',
    source: 'transports/wireguard/allowed-addresses.ts',
    defence: '    this.remove(peer)\n',
    weakened: '',
    attack: [
      'unit/wireguard-allowed-addresses.test.ts',
      'allowed addresses > belong to the peer that got them last',
    ],
  },
  {
    rule: 'a control message comes from the address of its own tunnel',
    source: 'room/host-room.ts',
    defence: 'else if (isIn && member?.tunnel === tunnel)',
    weakened: 'else if (isIn && member !== undefined)',
    attack: [members, 'a host > takes no control message that names another member as its sender'],
  },
  {
    rule: 'a guest hears its host only',
    source: 'room/guest-room.ts',
    defence: 'if (attempt === this.#current && isHost) this.#handleControl(now, attempt, message)',
    weakened: 'if (attempt === this.#current) this.#handleControl(now, attempt, message)',
    attack: [members, 'a guest > takes no control message from another than its host'],
  },
  {
    rule: 'a roster is signed by the host, for the room',
    source: 'core/roster.ts',
    defence: 'if (!crypto.verify(signedBytes(room, body), bytes.subarray(end), hostKey)) {',
    weakened: 'if (false) {',
    attack: [roster, 'a roster > is refused from another host, for another room, changed or cut'],
  },
  {
    rule: 'a roster names its room',
    source: 'core/roster.ts',
    defence: 'return concatenate(utf8(`${Context}${room}\\n`), body)',
    weakened: 'return concatenate(utf8(`${Context}`), body)',
    attack: [roster, 'a roster > is refused from another host, for another room, changed or cut'],
  },
  {
    rule: 'a change is signed by the host, for the room',
    source: 'core/roster-change.ts',
    defence: 'if (!crypto.verify(signed, bytes.subarray(end), hostKey)) {',
    weakened: 'if (false) {',
    attack: [chain, 'a guest refuses > a change that the host has not signed'],
  },
  {
    rule: 'a change names its room',
    source: 'core/roster-change.ts',
    defence: 'return concatenate(utf8(`${Context}${room}\\n`), body)',
    weakened: 'return concatenate(utf8(`${Context}`), body)',
    attack: [chain, 'a guest refuses > a change of another room, or one with a name that is none'],
  },
  {
    rule: 'an older roster, replayed, changes nothing',
    source: 'room/roster-reader.ts',
    defence: 'if (held !== undefined && !isNewer(roster, held)) return this.#judge(now, held, roster)',
    weakened: '',
    attack: [
      chain,
      'a guest refuses > a whole roster that is older than what it has, once it cannot have been under way',
    ],
  },
  {
    rule: 'a change of an earlier term is refused',
    source: 'room/roster-reader.ts',
    defence: "if (change.term < held.term) return this.#refuse('roster-rolled-back')",
    weakened: '',
    attack: [chain, 'a guest refuses > anything of a term before the one that it has'],
  },
  {
    rule: 'no number is used for two changes',
    source: 'room/roster-reader.ts',
    defence: "if (known !== undefined && known !== toHex(link)) return this.#refuse('roster-forked')",
    weakened: '',
    attack: [chain, 'a guest refuses > a second change with a number that it has seen'],
  },
  {
    rule: 'a change follows on what is there',
    source: 'room/roster-reader.ts',
    defence: "if (toHex(change.previous) !== toHex(held.link)) return this.#refuse('roster-forked')",
    weakened: '',
    attack: [chain, 'a guest refuses > a change that follows on another history than its own'],
  },
  {
    rule: 'a whole roster does not contradict the one that is there',
    source: 'room/roster-reader.ts',
    defence: "      return this.#refuse('roster-forked')\n    if (isHeld)",
    weakened: '      return Nothing\n    if (isHeld)',
    attack: [
      chain,
      'a guest refuses > a whole roster that has the number of another, or its link and other members',
    ],
  },
  {
    rule: 'names on a roster are names',
    source: 'core/roster.ts',
    defence: ' || nameProblem(name) !== undefined',
    weakened: '',
    attack: [roster, 'a roster > is refused with a bad name, or bytes too many, though the host signed it'],
  },
  {
    rule: 'no two members have the same name',
    source: 'room/member-names.ts',
    defence: 'if (!isHosts && (owner === undefined || owner === key)) return name',
    weakened: 'return name',
    attack: [names, 'the names of members > are unique: who comes later gets a number'],
  },
  {
    rule: 'who writes is called what the roster says',
    source: 'room/chat-events.ts',
    defence: 'const from = member?.name ?? (isAnothers ? `${name} (not here)` : name)',
    weakened: 'const from = isAnothers ? `${name} (not here)` : name',
    attack: [
      rosters,
      'names in a room > are unique, stay with the key, and are the same for everybody and in the chat',
    ],
  },
  {
    rule: 'who has left passes for nobody who is there',
    source: 'room/chat-events.ts',
    defence: '(isAnothers ? `${name} (not here)` : name)',
    weakened: 'name',
    attack: [rosters, 'names in a room > of somebody who has left pass for nobody who is there'],
  },
  {
    rule: 'another key under a known name is pointed out',
    source: 'room/member-pins.ts',
    defence: 'return isNews ? pinned : undefined',
    weakened: 'return undefined',
    attack: [
      rosters,
      'a guest > points out who comes under a name that was another’s before, once, over restarts of its own',
    ],
  },
  {
    rule: 'names that look alike are marked',
    source: 'core/look-alike.ts',
    defence: 'Array.from(visible, (character) => Prototype.get(character) ?? character.toLowerCase())',
    weakened: 'Array.from(visible)',
    attack: [rosters, 'names in a room > that look alike are marked for everybody'],
  },
  {
    rule: 'a name can be seen',
    source: 'core/identity.ts',
    defence:
      "if (/^[\\p{Default_Ignorable_Code_Point}\\p{White_Space}\\u2800]*$/u.test(name)) return 'a name can be seen'",
    weakened: '',
    attack: [rosters, 'names in a room > do not get in as "\u3164"'],
  },
  {
    rule: 'names have no control characters',
    source: 'core/identity.ts',
    defence: 'if (/[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}\\p{Co}]/u.test(name)) ',
    weakened: 'if (false) ',
    attack: [roomId, 'names > refuses "a\\u001b[31m"'],
  },
  {
    rule: 'names cannot look like messages of others',
    source: 'core/identity.ts',
    defence: "if (name.includes(':')) return 'a name has no colon'",
    weakened: '',
    attack: [roomId, 'names > refuses "a:b"'],
  },
  {
    rule: 'names cannot look like events',
    source: 'core/identity.ts',
    defence: "if (name.startsWith('*')) return 'a name does not begin with an asterisk'",
    weakened: '',
    attack: [roomId, 'names > refuses "*a"'],
  },
  {
    rule: 'addresses stick to keys',
    source: 'core/overlay.ts',
    defence: 'leases.get(key)?.number ?? this.#free(now, inUse)',
    weakened: 'this.#free(now, inUse)',
    attack: [overlay, 'the address pool > gives each key an address of its own, and the same one again'],
  },
  {
    rule: 'an address in use is nobody else’s',
    source: 'core/overlay.ts',
    defence: 'if (inUse(lease.key)) continue',
    weakened: '',
    attack: [
      overlay,
      'the address pool > when full, reclaims provisional ones after 60 s first, then the least recently used',
    ],
  },
  {
    rule: 'strangers’ addresses are bounded',
    source: 'core/overlay.ts',
    defence: 'const isCrowded = this.#taken.size >= MaxLeases',
    weakened: 'const isCrowded = false',
    attack: [
      overlay,
      'the address pool > of a large network keeps no address for each of the strangers that ever asked',
    ],
  },
  {
    rule: 'packets for others are not taken',
    source: 'transports/ip/stack.ts',
    defence: "if (!this.#addresses.has(local)) return 'destination-not-ours'",
    weakened: '',
    attack: [stack, 'nothing comes from, or is answered at, multicast and broadcast'],
  },
  {
    rule: 'packets from groups are not taken',
    source: 'transports/ip/stack.ts',
    defence: "if (!isUnicastSource(packet.source)) return 'source-invalid'",
    weakened: '',
    attack: [stack, 'nothing comes from, or is answered at, multicast and broadcast'],
  },
  {
    rule: 'an echo is answered by the one who was asked',
    source: 'transports/ip/stack.ts',
    defence: ' && pending?.address === formatAddress(source) ?',
    weakened: ' && source.length > 0 ?',
    attack: [stack, 'a reply from somebody else than the one pinged is dropped'],
  },
  {
    rule: 'errors are rate-limited',
    source: 'transports/ip/stack.ts',
    defence: 'if (this.#unreachableTokens < 1) {',
    weakened: 'if (false) {',
    attack: [stack, 'an unbound port at 10.1.0.1 is unreachable, ten times a second'],
  },
  {
    rule: 'what came in is bounded',
    source: 'transports/ip/stack.ts',
    defence: "if (this.#events.length >= QueueLimit) return 'event-queue-full'",
    weakened: '',
    attack: [stack, 'queues are bounded, and a thousand pings under way are the most'],
  },
  {
    rule: 'a program does not speak for gonet',
    source: 'room/overlay-router.ts',
    defence: "else if (concernsUdpPort(packet, ControlPort)) counters.count('control-from-program')",
    weakened: '',
    attack: [
      packets,
      'a program > cannot speak for gonet: what has to do with the control port goes nowhere',
    ],
  },
  {
    rule: 'control messages are not forwarded',
    source: 'room/overlay-router.ts',
    defence: 'if (concernsUdpPort(packet, ControlPort)) {',
    weakened: 'if (false) {',
    attack: [packets, 'a member that turns hostile > has no control message forwarded to another member'],
  },
  {
    rule: 'no packet reaches who is not in the room',
    source: 'room/host-room.ts',
    defence: 'return this.#admission.isIn(peer)',
    weakened: 'return true',
    attack: [packets, 'a guest in quarantine > reaches no program, and no program reaches it'],
  },
  {
    rule: 'no extension header hides a port',
    source: 'transports/ip/udp-ports.ts',
    defence: 'if (!isFragment && next !== AuthenticationHeader && !Skipped.has(next)) return false',
    weakened: 'if (!isFragment) return false',
    attack: [ports, 'a packet concerns a UDP port > behind several headers'],
  },
]
