/** Against who would use an invite that is not theirs, or not any more. */
import type { Weakening } from '../weakening.js'

const rooms = 'sim/invites.test.ts'
const host = 'unit/invites.test.ts'

export const invites: readonly Weakening[] = [
  {
    rule: 'a room that is entered by invite only does not lie where its id leads to',
    source: 'core/host.ts',
    defence: "if (options.admission !== 'invite') this.#points.add(options.room)",
    weakened: 'this.#points.add(options.room)',
    attack: [
      rooms,
      'a room that is entered by invite only > is found by nobody who knows its id, and by whoever has an invite',
    ],
  },
  {
    rule: 'whoever knows the way needs an invite all the same',
    source: 'room/admission/host-invites.ts',
    defence: "return this.#options.admission === 'invite' && !this.#register.isAdmitted(key)",
    weakened: 'return key.length === 0',
    attack: [
      rooms,
      'a room that is entered by invite only > lets in nobody who was given the way to it, and no invite',
    ],
  },
  {
    rule: 'a proof is checked',
    source: 'room/admission/host-invites.ts',
    defence: 'return crypto.equal(proof, invite.proof) ? secret : undefined',
    weakened: 'return proof.length > 0 ? secret : undefined',
    attack: [
      rooms,
      'an invite > with another secret, or that there is not, is not known: its state is told to nobody else',
    ],
  },
  {
    rule: 'a proof is for the whole join',
    source: 'core/messages.ts',
    defence: 'writeBody(writeFields({ ...join, invite: undefined }))',
    weakened: 'writeBody([])',
    attack: [host, 'a proof > is for its join: whoever puts it into another shows nothing'],
  },
  {
    rule: 'an invite for one is used up',
    source: 'room/admission/invite-register.ts',
    defence: 'if (invite.once) invites.set(id, { ...invite, takenBy: key })',
    weakened: '',
    attack: [rooms, 'an invite > for one is used by one'],
  },
  {
    rule: 'who is let in by an invite is kept before it takes effect',
    source: 'room/admission/invite-register.ts',
    defence: `    this.#store.write(StoreName, utf8(\`\${JSON.stringify(saved)}\\n\`))
    this.#invites = invites
    this.#admitted = admitted`,
    weakened: `    this.#invites = invites
    this.#admitted = admitted
    this.#store.write(StoreName, utf8(\`\${JSON.stringify(saved)}\\n\`))`,
    attack: [host, 'an invite for one > is used by nobody where that cannot be kept'],
  },
  {
    rule: 'a guest has its invite until it is in',
    source: 'room/guest-room.ts',
    defence: 'attempt.isIn = true',
    weakened: 'attempt.isIn = true; this.#guest.forgetInvite()',
    attack: [
      rooms,
      'two guests who race for an invite for one > one gets in, at whatever step the host is killed and comes back',
    ],
  },
  {
    rule: 'an invite is looked at again when the tunnel is up',
    source: 'room/admission/host-invites.ts',
    defence: `    const problem = this.#problem(invite, key, name)
    if (problem !== undefined) return problem
`,
    weakened: '',
    attack: [host, 'an invite for one > is used by the one whose tunnel is up first, whoever it waits for'],
  },
  {
    rule: 'a revoked invite lets nobody in',
    source: 'room/admission/invite-register.ts',
    defence: 'this.#save(this.#withRevoked(id), this.#admitted)',
    weakened: '',
    attack: [rooms, 'an invite > for many is used by many, until it is revoked'],
  },
  {
    rule: 'a ban revokes the invite',
    source: 'room/host-room.ts',
    defence: "if (act === 'ban') this.#invites.expel(key)",
    weakened: '',
    attack: [rooms, 'an invite > is revoked by the ban of who came by it'],
  },
]
