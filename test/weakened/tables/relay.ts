/** Against whoever plays the TURN server, or sends through it: whose word an allocation is. */
import type { Weakening } from '../weakening.js'

const client = 'unit/turn-client.test.ts'
const allocate = 'unit/turn-allocate.test.ts'
const peers = 'unit/turn-peers.test.ts'
const lease = 'unit/turn-lease.test.ts'
const fuzz = 'fuzz/turn.test.ts'
const transactions = 'transports/turn/transactions.ts'
const unmoved = 'TURN > is not moved by answers that its server has not signed'

export const relay: readonly Weakening[] = [
  {
    rule: 'a success is signed with our password',
    source: transactions,
    defence: "return authentication.isAuthentic(response) ? 'signed' : 'forged'",
    weakened: "return 'signed'",
    attack: [client, 'a TURN client > asks, is challenged, signs, and believes a signed answer only'],
  },
  {
    rule: 'a success is signed at all',
    source: transactions,
    defence: "return error !== undefined && Unsignable.has(error.code) ? 'unsigned' : 'forged'",
    weakened: "return error === undefined ? 'signed' : Unsignable.has(error.code) ? 'unsigned' : 'forged'",
    attack: [client, 'a TURN client > asks, is challenged, signs, and believes a signed answer only'],
  },
  {
    rule: 'no success comes before the challenge',
    source: transactions,
    defence: "if (version === 0) return error === undefined ? 'forged' : 'unsigned'",
    weakened: "if (version === 0) return error === undefined ? 'signed' : 'unsigned'",
    attack: [client, 'a TURN client > takes no success before it has been challenged'],
  },
  {
    rule: 'an answer bears the id and the method of a request',
    source: transactions,
    defence: 'transaction === undefined || transaction.request.method !== response.method',
    weakened: 'transaction === undefined',
    attack: [client, 'a TURN client > hears no answer to what it has not asked'],
  },
  {
    rule: 'forged answers move nothing',
    source: transactions,
    defence: "return authentication.isAuthentic(response) ? 'signed' : 'forged'",
    weakened: "return 'signed'",
    attack: [fuzz, unmoved],
  },
  {
    rule: 'an error that nobody has signed waits for a better answer',
    source: transactions,
    defence: "if (standing === 'signed' || this.#endsAtOnce(transaction, error, standing)) {",
    weakened: "if (standing !== 'forged' || this.#endsAtOnce(transaction, error, standing)) {",
    attack: [
      client,
      'a TURN client > is not ended by somebody who sees its requests: the signed answer wins',
    ],
  },
  {
    rule: 'the wait for a better answer leaves the server time',
    source: transactions,
    defence: 'export const UnsignedWait = 2000',
    weakened: 'export const UnsignedWait = 0',
    attack: [
      client,
      'a TURN client > is not ended by somebody who sees its requests: the signed answer wins',
    ],
  },
  {
    rule: 'a refresh is refused by the server alone',
    source: transactions,
    defence: "if (standing === 'signed' || this.#endsAtOnce(transaction, error, standing)) {",
    weakened: "if (standing !== 'forged' || this.#endsAtOnce(transaction, error, standing)) {",
    attack: [
      lease,
      'an allocation > is not lost by refusals that nobody has signed, where the signed answer comes',
    ],
  },
  {
    rule: 'a nonce is answered a few times only',
    source: transactions,
    defence: 'challenges >= MaxChallenges',
    weakened: 'challenges >= 1000',
    attack: [
      client,
      'a TURN client > makes a request anew when its nonce has gone stale, four times at most',
    ],
  },
  {
    rule: 'data comes from those only whom we have permitted',
    source: 'transports/turn/client.ts',
    defence: 'if (!this.#peers.isPermitted(now, peer)) {',
    weakened: 'if (peer.port === 0) {',
    attack: [client, 'a TURN client > takes data of those whom it has permitted, and of nobody else'],
  },
  {
    rule: 'a channel brings data only while its peer is permitted',
    source: 'transports/turn/client.ts',
    defence: 'if (!this.#peers.isPermitted(now, peer)) {',
    weakened: 'if (peer.port === 0) {',
    attack: [
      peers,
      'channels > carry data to us from when they are asked for, and only while their peer is permitted',
    ],
  },
  {
    rule: 'redirects are few',
    source: 'transports/turn/redirects.ts',
    defence: 'this.#seenAt.size >= MaxRedirects',
    weakened: 'this.#seenAt.size >= 1000',
    attack: [
      allocate,
      'a redirect (300) > is followed five times in five minutes, and never twice to the same server',
    ],
  },
  {
    rule: 'redirects lead in no circle',
    source: 'transports/turn/redirects.ts',
    defence: 'this.#seenAt.has(key) || ',
    weakened: '',
    attack: [
      allocate,
      'a redirect (300) > is followed five times in five minutes, and never twice to the same server',
    ],
  },
  {
    rule: 'a redirect after the challenge is signed',
    source: transactions,
    defence: "return standing === 'unsigned' && version === 0 && error?.code === ErrorNumber.TryAlternate",
    weakened: 'return version >= 0 && error?.code === ErrorNumber.TryAlternate',
    attack: [allocate, 'a redirect (300) > after the challenge must be signed'],
  },
  {
    rule: 'permissions are bounded',
    source: 'transports/turn/permissions.ts',
    defence: 'this.#byAddress.size >= MaxPermissions',
    weakened: 'this.#byAddress.size >= 10 * MaxPermissions',
    attack: [peers, 'permissions > are 1024 at most, and of the relayed address’s family'],
  },
  {
    rule: 'a channel’s number means no other peer before it has rested',
    source: 'transports/turn/channels.ts',
    defence: 'if (isAsked || dueAt !== undefined || restUntil > now) continue',
    weakened: 'if (isAsked || dueAt !== undefined || restUntil > now + ChannelRest) continue',
    attack: [
      peers,
      'channels > give no number to another peer before it has rested for five minutes, and are 1024 at most',
    ],
  },
  {
    rule: 'a server’s words cannot steer a terminal',
    source: 'transports/turn/failures.ts',
    defence: ".replace(/[^\\p{L}\\p{N}\\p{P}\\p{S} ]/gu, ' ')",
    weakened: '',
    attack: [
      client,
      'a TURN client > gives up for good where the same challenge comes again, and nothing better',
    ],
  },
]
