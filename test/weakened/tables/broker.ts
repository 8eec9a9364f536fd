/** Against brokers and squatters: what signalling believes. */
import type { Weakening } from '../weakening.js'

const forgeries = 'unit/host-guest-forgeries.test.ts'
const hostGuest = 'unit/host-guest.test.ts'
const hostChoice = 'unit/host-choice.test.ts'
const messages = 'unit/messages.test.ts'

export const broker: readonly Weakening[] = [
  {
    rule: 'a message is signed by the key that it names',
    source: 'core/messages.ts',
    defence: 'if (!envelopeVerifies(crypto, envelope, message.publicKey)) {',
    weakened: 'if (false) {',
    attack: [messages, 'messages > are refused when signed by another key than they name'],
  },
  {
    rule: 'an accepted message is the one that was signed',
    source: 'core/messages.ts',
    defence: 'if (!envelopeVerifies(crypto, envelope, message.publicKey)) {',
    weakened: 'if (false) {',
    attack: [
      'fuzz/core.test.ts',
      'decoders of what strangers send > a message that is accepted is the one that was signed',
    ],
  },
  {
    rule: 'the host’s key has the room id in its hash',
    source: 'core/guest.ts',
    defence: 'if (!roomIdMatches(crypto, room, message.publicKey)) {',
    weakened: 'if (false) {',
    attack: [
      hostGuest,
      'a beacon > is believed only from a key whose hash contains the room id, and only from the key that is expected',
    ],
  },
  {
    rule: 'the room id stands in the hash, whole',
    source: 'core/room-id.ts',
    defence: 'return keyHash(crypto, hostKey).includes(room)',
    weakened: 'return keyHash(crypto, hostKey).includes(room.slice(1))',
    attack: [
      'unit/room-id.test.ts',
      'room ids > is any substring of the key hash, and by default its first 20 digits',
    ],
  },
  {
    rule: 'a beacon is sealed under a key of the room id',
    source: 'core/sealing.ts',
    defence: "return crypto.hkdfSha256(keyMaterial(by), undefined, 'gonet/1 beacon', KeyBytes)",
    weakened: "return crypto.hkdfSha256(keyMaterial(''), undefined, 'gonet/1 beacon', KeyBytes)",
    attack: [hostGuest, 'a beacon > cannot be read without the room id'],
  },
  {
    rule: 'a guest’s epochs only grow',
    source: 'core/guest.ts',
    defence: 'beacon.epoch <= this.#beacon.epoch',
    weakened: 'beacon.epoch === this.#beacon.epoch',
    attack: [
      hostGuest,
      'a beacon > of a newer epoch makes a guest join again; an older one, replayed, does not',
    ],
  },
  {
    rule: 'a host’s epochs grow across its restarts',
    source: 'core/host.ts',
    defence: 'this.#counter = readCounter(this.#options.store)',
    weakened: 'this.#counter = 0',
    attack: [forgeries, 'a host > begins a greater epoch at every start, whatever the chance in it'],
  },
  {
    rule: 'only its own newer beacon makes a host begin an epoch',
    source: 'core/host.ts',
    defence: 'if (!crypto.equal(message.publicKey, identity.publicKey)) {',
    weakened: 'if (false) {',
    attack: [
      forgeries,
      'a host > is moved by no beacon of another key, and takes back none that another sender has laid',
    ],
  },
  {
    rule: 'a beacon says itself which record it is',
    source: 'core/host.ts',
    defence: 'if (record.sender === message.epoch) this.#retractBeacon(record.topic, message.epoch)',
    weakened: 'this.#retractBeacon(record.topic, record.sender)',
    attack: [
      forgeries,
      'a host > is moved by no beacon of another key, and takes back none that another sender has laid',
    ],
  },
  {
    rule: 'a join names the box key that it was sealed from',
    source: 'core/host.ts',
    defence:
      "if (!crypto.equal(join.box, box)) throw new DecodeError('join-resealed', 'join was sealed by another')",
    weakened: '',
    attack: [hostGuest, 'a join > cannot be sealed anew by whoever reads it, for the same host or another'],
  },
  {
    rule: 'a join is for one room',
    source: 'core/host.ts',
    defence: "if (join.room !== room) throw new DecodeError('join-other-room', 'join is for another room')",
    weakened: '',
    attack: [forgeries, 'a host > takes no join that names another room'],
  },
  {
    rule: 'a join is for one host',
    source: 'core/host.ts',
    defence: 'if (!crypto.equal(join.host, identity.publicKey)) {',
    weakened: 'if (false) {',
    attack: [forgeries, 'a host > takes no join that names another host'],
  },
  {
    rule: 'a join is for one epoch',
    source: 'core/host.ts',
    defence: 'if (join.epoch !== epoch.id || ',
    weakened: 'if (',
    attack: [forgeries, 'a host > takes no join that names another epoch'],
  },
  {
    rule: 'a join names the sealing key',
    source: 'core/host.ts',
    defence: ' || !crypto.equal(join.seal, epoch.seal.publicKey)) {',
    weakened: ') {',
    attack: [forgeries, 'a host > takes no join that names another sealing key'],
  },
  {
    rule: 'a nonce is used once',
    source: 'core/host.ts',
    defence:
      "if (epoch.nonces.has(toHex(join.nonce))) throw new DecodeError('join-nonce-used', 'nonce was used before')",
    weakened: '',
    attack: [hostGuest, 'a join > with a used nonce or WireGuard key is refused unread'],
  },
  {
    rule: 'a WireGuard key is used once',
    source: 'core/host.ts',
    defence: 'if (epoch.wireguardKeys.has(toHex(join.wireguard))) {',
    weakened: 'if (false) {',
    attack: [hostGuest, 'a join > with a used nonce or WireGuard key is refused unread'],
  },
  {
    rule: 'an update is signed by the join’s guest',
    source: 'core/host.ts',
    defence: '!crypto.equal(join.publicKey, update.publicKey) ||',
    weakened: '',
    attack: [forgeries, 'a host > takes no update by another than the join’s guest, nor boxed by another'],
  },
  {
    rule: 'an update is sealed from the join’s box key',
    source: 'core/host.ts',
    defence: '!crypto.equal(join.box, box) ||',
    weakened: '',
    attack: [forgeries, 'a host > takes no update by another than the join’s guest, nor boxed by another'],
  },
  {
    rule: 'an answer is signed by the host of the beacon',
    source: 'core/guest.ts',
    defence: '!crypto.equal(message.publicKey, join.beacon.publicKey) ||',
    weakened: '',
    attack: [forgeries, 'a guest > takes no answer that is rightly sealed, and signed by another key'],
  },
  {
    rule: 'an answer names the join’s hash',
    source: 'core/guest.ts',
    defence: '!crypto.equal(message.inReplyTo, join.hash) ||',
    weakened: '',
    attack: [forgeries, 'a guest > takes no answer that is rightly sealed, and to an earlier join'],
  },
  {
    rule: 'an answer is for the room',
    source: 'core/guest.ts',
    defence: 'message.room !== this.#options.room ||',
    weakened: '',
    attack: [forgeries, 'a guest > takes no answer that is rightly sealed, and for another room'],
  },
  {
    rule: 'an answer is of the join’s epoch',
    source: 'core/guest.ts',
    defence: ' ||\n      message.epoch !== join.beacon.epoch',
    weakened: '',
    attack: [forgeries, 'a guest > takes no answer that is rightly sealed, and of another epoch'],
  },
  {
    rule: 'an answer counts once',
    source: 'core/guest.ts',
    defence: 'if (join === undefined || join.answered || ',
    weakened: 'if (join === undefined || ',
    attack: [hostGuest, 'an answer > that comes a second time changes nothing'],
  },
  {
    rule: 'a beacon that a stranger erases is laid out ever more slowly',
    source: 'adapters/mqtt/beacon.ts',
    defence: 'Math.min(this.#restoreAfterMs * 2, LongestRestoreMs)',
    weakened: 'this.#restoreAfterMs',
    attack: [
      'contract/mqtt-beacon.test.ts',
      'a beacon on aedes > is laid out again each of 50 times that somebody erases it or writes over it, ever more slowly',
    ],
  },
  {
    rule: 'a key that was given is the only one',
    source: 'core/host-choice.ts',
    defence: 'if (hostKey !== undefined && !crypto.equal(hostKey, publicKey)) return false',
    weakened: '',
    attack: [
      hostChoice,
      'the choice of a host > takes the one that was named by its key or by its digits, at once',
    ],
  },
  {
    rule: 'digits that were given are the key’s',
    source: 'core/host-choice.ts',
    defence: 'if (!keyHash(crypto, publicKey).startsWith(hostDigits)) return false',
    weakened: '',
    attack: [
      hostChoice,
      'the choice of a host > takes the one that was named by its key or by its digits, at once',
    ],
  },
  {
    rule: 'claims to a short id are collected',
    source: 'core/host-choice.ts',
    defence: 'now + (this.#isToCollect() ? CollectMs : 0)',
    weakened: 'now',
    attack: [
      hostChoice,
      'the choice of a host > waits for other claims where the id is short, and takes the only one',
    ],
  },
  {
    rule: 'several claims are refused together',
    source: 'core/host-choice.ts',
    defence: "others.length > 0 ? this.#ambiguous() : { type: 'take', publicKey: first }",
    weakened: "{ type: 'take', publicKey: first }",
    attack: [
      hostChoice,
      'the choice of a host > takes none of several, however fast one was, and names them',
    ],
  },
  {
    rule: 'another host than the pinned one is refused',
    source: 'core/host-choice.ts',
    defence: 'if (pinnedKey !== undefined) return this.#changed(pinnedKey, first)',
    weakened: '',
    attack: [
      hostChoice,
      'the choice of a host > does not let a link lead away from the host that the room had before',
    ],
  },
  {
    rule: 'the pinned host is heard behind many others',
    source: 'core/host-choice.ts',
    defence: 'if (this.#claims.length >= MaxClaims && !isPinned) return false',
    weakened: 'if (this.#claims.length >= MaxClaims) return false',
    attack: [hostChoice, 'the choice of a host > hears the true host behind any number of others'],
  },
]
