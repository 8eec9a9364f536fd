/** Against members that turn hostile in the chat. */
import type { Weakening } from '../weakening.js'

const hostile = 'unit/chat-hostile.test.ts'

export const chat: readonly Weakening[] = [
  {
    rule: 'an entry is signed by its author',
    source: 'chat/log.ts',
    defence: "if (!verifyEntry(crypto, room, entry)) return 'chat-entry-forged'",
    weakened: '',
    attack: [hostile, 'the hub takes no entry > that another than its author has signed'],
  },
  {
    rule: 'an entry belongs to one room',
    source: 'chat/entry.ts',
    defence: 'utf8(`gonet/1 chat entry\\n${room}\\n`)',
    weakened: 'utf8(`gonet/1 chat entry\\n`)',
    attack: [hostile, 'the hub takes no entry > of another room'],
  },
  {
    rule: 'the hub takes entries of members',
    source: 'chat/replica.ts',
    defence: 'if (authorOf(entry.stream) !== this.#self && !this.#options.accepts(entry.author)) {',
    weakened: 'if (false) {',
    attack: [hostile, 'the hub takes no entry > of somebody who is not a member'],
  },
  {
    rule: 'sequences have no large gaps',
    source: 'chat/log.ts',
    defence: "if (entry.sequence > have + 1 + Window) return 'chat-entry-ahead'",
    weakened: '',
    attack: [hostile, 'the hub takes no entry > with a huge sequence number'],
  },
  {
    rule: 'there is one entry of a number',
    source: 'chat/log.ts',
    defence: "if (ours !== undefined) return ours === entry.hash ? 'known' : 'chat-entry-fork'",
    weakened: '',
    attack: [hostile, 'the hub takes no entry > beside another of the same number'],
  },
  {
    rule: 'a Lamport time is what its parents make it',
    source: 'chat/ancestry.ts',
    defence:
      'return lamport > known && !before(entry).every((hash) => this.has(hash)) && this.isNear(lamport)',
    weakened: 'return lamport > known',
    attack: [hostile, 'the hub takes no entry > with a huge Lamport time'],
  },
  {
    rule: 'a Lamport time without known parents is near',
    source: 'chat/ancestry.ts',
    defence: 'return lamport <= this.#clock + MaxLamportLead',
    weakened: 'return true',
    attack: [hostile, 'the hub takes no entry > with a huge Lamport time'],
  },
  {
    rule: 'an entry is what its pieces said',
    source: 'chat/replica.ts',
    defence: 'if (!entry.hash.startsWith(payload.entry)) {',
    weakened: 'if (false) {',
    attack: [hostile, 'the hub takes no entry > that begins otherwise than its pieces said'],
  },
  {
    rule: 'a guest gives up its own entries only',
    source: 'chat/replica.ts',
    defence: 'if (authorOf(stream) !== link.author || ',
    weakened: 'if (',
    attack: [hostile, 'the hub is not moved by floors > of what others wrote'],
  },
  {
    rule: 'a floor is near in Lamport time',
    source: 'chat/replica.ts',
    defence: ' || !this.#log.isNear(floor.lamport)) return',
    weakened: ') return',
    attack: [hostile, 'the hub is not moved by floors > to the end of Lamport time'],
  },
  {
    rule: 'floors are few',
    source: 'chat/replica.ts',
    defence: 'if (!link.floors.take(now)) {',
    weakened: 'if (false) {',
    attack: [hostile, 'the hub is not moved by floors > more often than now and then'],
  },
  {
    rule: 'a floor takes nothing from an entry',
    source: 'chat/log.ts',
    defence: 'if (!this.#ancestry.has(base.hash)) this.#ancestry.know(name, base)',
    weakened: 'this.#ancestry.know(name, base)',
    attack: [
      'unit/chat-log.test.ts',
      'skipping to a base > to the hash of another entry takes nothing from that one',
    ],
  },
  {
    rule: 'a claim is no proof of a lost state',
    source: 'chat/own-stream.ts',
    defence: 'return this.#isLoaded && (',
    weakened: 'return (',
    attack: [hostile, 'claims > to have more of what the hub writes do not make it change its stream'],
  },
  {
    rule: 'no more is delivered than was posted',
    source: 'chat/replica.ts',
    defence: ' || sequence > this.#log.have(stream)) return',
    // With all that it is told it would be busy for hours.
    weakened: ') return\n    sequence = Math.min(sequence, this.#log.have(stream))',
    attack: [hostile, 'claims > of the hub that more was delivered than was posted are not believed'],
  },
  {
    rule: 'a member is heard 1000 times a second',
    source: 'chat/replica.ts',
    defence: 'if (!link.entries.take(now)) {',
    weakened: 'if (false) {',
    attack: [hostile, 'floods > of entries are cut to 1000 a second'],
  },
  {
    rule: 'pieces of few entries are kept',
    source: 'chat/neighbour.ts',
    defence: 'if (this.#assemblies.size > MaxAssemblies) {',
    weakened: 'if (false) {',
    attack: [hostile, 'floods > of pieces that never become entries hold 64 entries at most'],
  },
  {
    rule: 'few entries wait for their parents',
    source: 'chat/log.ts',
    defence: 'if (this.#countWaiting() > MaxWaiting) this.release()',
    weakened: '',
    attack: ['unit/chat-log.test.ts', 'an entry whose parents are unknown > does not wait once too many do'],
  },
  {
    rule: 'questions are answered at a pace',
    source: 'chat/neighbour.ts',
    defence: 'Math.max(now, this.#wholeSaidAt + WholeGapMs)',
    weakened: 'now',
    attack: [hostile, 'floods > of questions get an answer every 500 ms'],
  },
  {
    rule: 'an author has few streams',
    source: 'chat/log.ts',
    defence: 'ofAuthor < MaxStreamsPerAuthor',
    weakened: 'true',
    attack: [hostile, 'floods > of new incarnations end at 64'],
  },
]
