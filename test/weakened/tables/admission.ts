/** Against who would get into a room that does not want them. */
import type { Weakening } from '../weakening.js'

const rooms = 'sim/admission.test.ts'
const host = 'unit/host-admission.test.ts'

export const admission: readonly Weakening[] = [
  {
    rule: 'a guest in quarantine reaches the control port only',
    source: 'room/host-room.ts',
    defence: 'const isIn = this.#admission.isIn(tunnel.id)',
    weakened: 'const isIn = true',
    attack: [
      rooms,
      'a room with a password > shows nothing to who has not proved it, and takes nothing from them',
    ],
  },
  {
    rule: 'a password is for one host',
    source: 'node/password/opaque.ts',
    defence: 'return { server: toBase64(hostKey) }',
    weakened: "return { server: '' }",
    attack: [
      rooms,
      'a room with a password > is not entered by a host of another key that passes a login on',
    ],
  },
  {
    rule: 'a proof is for one tunnel',
    source: 'room/admission/host-admission.ts',
    defence: " || !crypto.equal(proof, tunnelProof(crypto, sessionKey, 'guest', binding))",
    weakened: '',
    attack: [host, 'a login > that was proved for another tunnel is none'],
  },
  {
    rule: 'guesses are limited',
    source: 'room/admission/host-admission.ts',
    defence: 'if (!this.#limiter.take(now, guesser)) {',
    weakened: 'if (start.length === 0) {',
    attack: [
      rooms,
      'a room with a password > limits guesses by fresh keys, which does not keep out who has been in before',
    ],
  },
  {
    rule: 'strangers who guess lock nobody out',
    source: 'room/admission/guess-limiter.ts',
    defence: 'if (isKnown) return [own, this.#known]',
    weakened: '',
    attack: [
      rooms,
      'a room with a password > limits guesses by fresh keys, which does not keep out who has been in before',
    ],
  },
  {
    rule: 'a host that asks for no password is not the one that it is for',
    source: 'room/admission/guest-admission.ts',
    defence: '} else if (hasPassword) {',
    weakened: '} else if (hasPassword && id === undefined) {',
    attack: [
      rooms,
      'a room with a password > is not what somebody takes for it who has a password and is asked for none',
    ],
  },
  {
    rule: 'few of one network wait for a person',
    source: 'room/admission/host-admission.ts',
    defence: ' || near.length >= MaxWaitingPerNetwork',
    weakened: '',
    attack: [
      rooms,
      'a room where somebody is asked > asks about so many at once, of one network and in all, whoever floods it',
    ],
  },
  {
    rule: 'a ban holds',
    source: 'room/admission/host-admission.ts',
    defence: 'if (ban !== undefined) return refusalOf(ban.untilMs)',
    weakened: '',
    attack: [
      rooms,
      'a member that was put out by a ban > is told, is not on the roster, and does not come back, under a new epoch neither',
    ],
  },
]
