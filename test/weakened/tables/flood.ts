/** Against strangers who flood. */
import type { Weakening } from '../weakening.js'

const hostGuest = 'unit/host-guest.test.ts'
const hostileJoin = 'unit/hostile-join.test.ts'
const puzzle = 'unit/puzzle.test.ts'
const device = 'unit/wireguard-device.test.ts'
const cookie = 'unit/wireguard-cookie.test.ts'
const serve = 'unit/serve-mqtt.test.ts'

export const flood: readonly Weakening[] = [
  {
    rule: '500 records a second are opened',
    source: 'core/host.ts',
    defence: 'if (epoch.waiting.size === 0 && this.#bucket.take(now)) {',
    weakened: 'if (true) {',
    attack: [
      hostGuest,
      'a join > is one of at most 500 records a second that are opened; 256 more wait, and then there is a puzzle',
    ],
  },
  {
    rule: 'records of a puzzle that is not solved are dropped',
    source: 'core/host.ts',
    defence: 'if (bits < this.#puzzle.bits) {',
    weakened: 'if (false) {',
    attack: [
      hostGuest,
      'a join > is one of at most 500 records a second that are opened; 256 more wait, and then there is a puzzle',
    ],
  },
  {
    rule: 'a repeated join is answered at a pace',
    source: 'core/host.ts',
    defence: 'if (now < (known.answeredAgainAt.get(name) ?? -Infinity) + AnswerAgainMs) {',
    weakened: 'if (false) {',
    attack: [
      hostGuest,
      'a join > that is answered is answered again every 500 ms at most, however often it comes',
    ],
  },
  {
    rule: 'nothing is forgotten within an epoch',
    source: 'core/host.ts',
    defence: 'if (epoch.joins.size >= (MaxJoinsPerEpoch * 3) / 4) this.#beginEpoch(now, 0)',
    weakened: '',
    attack: [
      hostGuest,
      'an epoch > ends at three quarters of its memory, and nothing is forgotten within one',
    ],
  },
  {
    rule: 'a puzzle is for one epoch, key and join',
    source: 'core/puzzle.ts',
    defence: 'utf8(epoch), seal, sealed',
    weakened: 'utf8(epoch), seal',
    attack: [
      puzzle,
      'a puzzle > is another for any other epoch, sealing key or sealed join, and the same for any solution',
    ],
  },
  {
    rule: 'the puzzle gets as hard as it takes',
    source: 'core/puzzle-level.ts',
    defence: 'Math.min(MaxPuzzleBits, Math.max(enough, before + 1, FirstBits))',
    weakened: 'FirstBits',
    attack: [
      puzzle,
      'its level > rises at once, in one step as far as it takes, and never beyond what a guest can solve',
    ],
  },
  {
    rule: 'the puzzle stays as hard as the flood',
    source: 'core/puzzle-level.ts',
    defence: 'const enough = this.#enough((RecordsPerSecond / 2) * seconds)',
    weakened: 'const enough = 0',
    attack: [puzzle, 'its level > stays while the flood would come back, and falls to 0 in calm'],
  },
  {
    rule: 'the sample of what waits is bounded',
    source: 'core/reservoir.ts',
    defence: 'if (this.#keys.length < this.#capacity) {',
    weakened: 'if (true) {',
    attack: [puzzle, 'a reservoir > keeps so many and no more, of which each that came had the same chance'],
  },
  {
    rule: 'the sample of what waits is fair',
    source: 'core/reservoir.ts',
    defence: 'Math.floor(this.#offered * this.#random.fraction())',
    weakened: 'Math.floor(this.#capacity * this.#random.fraction())',
    attack: [puzzle, 'a reservoir > keeps so many and no more, of which each that came had the same chance'],
  },
  {
    rule: 'a join that cannot be used is forgotten',
    source: 'room/host-room.ts',
    defence: 'this.#host.dismiss(request)',
    weakened: '',
    attack: [hostileJoin, 'a room > outlives more unusable joins than it has patience for'],
  },
  {
    rule: 'a key of small order is refused',
    source: 'room/underlay.ts',
    defence: '      if (!(error instanceof GonetError)) throw error\n      device.removePeer(now, id)',
    weakened: '      throw error',
    attack: [hostileJoin, 'a room > outlives a join with a WireGuard key of small order'],
  },
  {
    rule: 'a wrong mac1 ends a handshake',
    source: 'transports/wireguard/device.ts',
    defence: 'if (!this.#cookies.verifyMac1(bytes)) {',
    weakened: 'if (false) {',
    attack: [device, 'handshake > drops a wrong mac1 before anything else'],
  },
  {
    rule: 'mac1 is looked at before the load',
    source: 'transports/wireguard/device.ts',
    defence: 'if (!this.#cookies.verifyMac1(bytes)) {',
    weakened: 'if (false) {',
    attack: [cookie, 'a device under load > still compares mac1 first, and gives no cookie for a wrong one'],
  },
  {
    rule: 'preshared keys are mixed in',
    source: 'transports/wireguard/handshake.ts',
    defence:
      'presharedKey === undefined ? new Uint8Array(PresharedKeyLength) : Uint8Array.from(presharedKey)',
    weakened: 'new Uint8Array(PresharedKeyLength)',
    attack: [device, 'handshake > fails where the preshared keys differ'],
  },
  {
    rule: 'an initiation is later than those before',
    source: 'transports/wireguard/initiation-guard.ts',
    defence: "if (!isLater(timestamp, this.#greatestTimestamp)) return 'replayedInitiation'",
    weakened: '',
    attack: [device, 'handshake > refuses a replayed initiation'],
  },
  {
    rule: 'a peer is answered 50 times a second',
    source: 'transports/wireguard/initiation-guard.ts',
    defence: "if (now < this.#acceptedAt + HandshakeInitiationIntervalMs) return 'floodedInitiation'",
    weakened: '',
    attack: [device, 'handshake > answers one peer no more often than 50 times a second'],
  },
  {
    rule: 'a message is taken once',
    source: 'transports/wireguard/session.ts',
    defence: "return this.#replayWindow.accept(message.counter) ? packet : 'replayed'",
    weakened: 'return packet',
    attack: [device, 'transport > drops a replayed message'],
  },
  {
    rule: 'the window knows what it has seen',
    source: 'transports/wireguard/replay.ts',
    defence: 'return (seen & bit) === 0',
    weakened: 'return true',
    attack: ['unit/wireguard-replay.test.ts', 'replay window > accepts each counter once, from 0'],
  },
  {
    rule: 'the window takes nothing that is too old to tell',
    source: 'transports/wireguard/replay.ts',
    defence: 'if (counter + WindowSize < this.#greatest) return false',
    weakened: '',
    attack: [
      'unit/wireguard-replay.test.ts',
      'replay window > holds at least 2048 counters, and refuses what is older',
    ],
  },
  {
    rule: 'a session ends after 180 s',
    source: 'transports/wireguard/tunnel.ts',
    defence: '    if (this.#age(now, session) >= RejectAfterTimeMs) {\n      counters.expiredSession++',
    weakened: '    if (false) {\n      counters.expiredSession++',
    attack: [device, 'timers > drops messages of a session older than 180 s'],
  },
  {
    rule: 'under load a cookie is asked for',
    source: 'transports/wireguard/device.ts',
    defence:
      'if (this.#load.isUnderLoad(now) && !this.#isAllowedUnderLoad(now, source, message, bytes)) return',
    weakened: '',
    attack: [
      cookie,
      'a device under load > answers a source that cannot receive nothing but cookies, however often it asks',
    ],
  },
  {
    rule: 'a cookie is good for one address',
    source: 'transports/wireguard/cookie.ts',
    defence: 'this.#crypto.mac(secret, new TextEncoder().encode(formatSocketAddress(source)))',
    weakened: 'this.#crypto.mac(secret, new TextEncoder().encode(String(source.port)))',
    attack: [cookie, 'a cookie > is good for its address and port only'],
  },
  {
    rule: 'a cookie is good for two minutes',
    source: 'transports/wireguard/cookie.ts',
    defence: 'secret === undefined || now >= secret.madeAt + CookieRefreshTimeMs || ',
    weakened: 'secret === undefined || ',
    attack: [cookie, 'a cookie > ends with the secret it was made with, after two minutes'],
  },
  {
    rule: 'a message is answered with one cookie',
    source: 'transports/wireguard/cookie.ts',
    defence: '    this.#lastMac1 = undefined\n',
    weakened: '',
    attack: [cookie, 'a cookie > is taken once a message, from a reply to that message'],
  },
  {
    rule: 'cookie replies are authentic',
    source: 'transports/wireguard/xchacha20-poly1305.ts',
    defence: 'if (difference !== 0) return undefined',
    weakened: '',
    attack: ['fuzz/wireguard.test.ts', 'WireGuard > takes no cookie reply but the one that answers it'],
  },
  {
    rule: 'one address gets few handshakes under load',
    source: 'transports/wireguard/device.ts',
    defence: 'if (!this.#rateLimiter.allow(now, source.address)) {',
    weakened: 'if (false) {',
    attack: [
      cookie,
      'a device under load > computes with 5 initiations at once of an address that has its cookie',
    ],
  },
  {
    rule: 'an IPv6 network is one address',
    source: 'transports/wireguard/load.ts',
    defence: "(parsed.kind() === 'ipv4' ? bytes : bytes.slice(0, 8)).join('.')",
    weakened: "bytes.join('.')",
    attack: [
      cookie,
      'load > takes an IPv6 network of 64 bits for one address, and a mapped address for IPv4',
    ],
  },
  {
    rule: 'the table of addresses is bounded',
    source: 'transports/wireguard/load.ts',
    defence: 'now < usedAt + FullAfterMs && this.#buckets.size < MaxRateLimitedAddresses',
    weakened: 'now < usedAt + FullAfterMs',
    attack: [cookie, 'load > forgets addresses that it need not know, and never knows more than 8192'],
  },
  {
    rule: 'a broker’s packets are bounded',
    source: 'node/serve-mqtt.ts',
    defence: '    limitPackets(socket, maxPacketBytes)\n',
    weakened: '',
    attack: [serve, 'what strangers can fill > is one packet of a bounded size'],
  },
  {
    rule: 'a broker’s connections are bounded',
    source: 'node/serve-mqtt.ts',
    defence: '  server.maxConnections = maxConnections\n',
    weakened: '',
    attack: [serve, 'what strangers can fill > is a bounded number of connections'],
  },
  {
    rule: 'a broker’s records are bounded',
    source: 'node/serve-mqtt.ts',
    defence: 'if (this.#records.size >= this.#maxRetained) return false',
    weakened: '',
    attack: [
      serve,
      'what strangers can fill > is a bounded number of retained records, which are passed on without being kept beyond it',
    ],
  },
  {
    rule: 'a broker’s records expire',
    source: 'node/serve-mqtt.ts',
    defence: 'const expiresAt = this.#clock.now() + this.#retainMs',
    weakened: 'const expiresAt = this.#clock.now() + 1e9',
    attack: [serve, 'what strangers can fill > is emptied of retained records when their time is over'],
  },
  {
    rule: 'one address has an eighth of a broker’s connections',
    source: 'node/serve-mqtt.ts',
    defence: 'if (!connections.take(owner)) {',
    weakened: 'if (false) {',
    attack: [
      serve,
      'what strangers can fill > from one address > is an eighth of the connections, and the next is told so',
    ],
  },
  {
    rule: 'one address has an eighth of a broker’s records',
    source: 'node/serve-mqtt.ts',
    defence: 'return owner === undefined || this.#shares.take(owner)',
    weakened: 'return true',
    attack: [serve, 'what strangers can fill > from one address > is an eighth of the retained records'],
  },
  {
    rule: 'nobody lists the topics of a broker',
    source: 'node/serve-mqtt.ts',
    defence: 'hasRoom && isNarrow(topic)',
    weakened: 'hasRoom',
    attack: [serve, 'what strangers can fill > is no list of the topics of others: gonet/1/+/host'],
  },
  {
    rule: 'a broker’s subscriptions are bounded',
    source: 'node/serve-mqtt.ts',
    defence: 'hasRoom && isNarrow(topic)',
    weakened: 'isNarrow(topic)',
    attack: [serve, 'what strangers can fill > is a bounded number of subscriptions at a time'],
  },
]
