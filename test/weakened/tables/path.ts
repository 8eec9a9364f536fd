/** Against peers that name third parties as candidates, and against forged STUN. */
import type { Weakening } from '../weakening.js'

const candidate = 'unit/candidate.test.ts'
const pacing = 'unit/path-pacing.test.ts'
const paths = 'unit/path.test.ts'
const outsiders = 'sim/outsiders.test.ts'
const messages = 'unit/stun-message.test.ts'
const dropped = 'what is not authentic is dropped, counted, and has no effect > '

export const path: readonly Weakening[] = [
  {
    rule: 'a message has twelve candidates',
    source: 'transports/path/candidate.ts',
    defence: 'if (parts.length > MaxCandidates) return undefined',
    weakened: '',
    attack: [candidate, 'candidates > are at most twelve'],
  },
  {
    rule: 'signalled candidates are bounded',
    source: 'transports/path/candidate-room.ts',
    defence: 'if (sameSort.length < Most[sort]) return',
    weakened: 'if (sameSort.length < Infinity) return',
    attack: [
      pacing,
      'candidates are bounded > to 24 signalled ones and 8 that were seen, of each the latest',
    ],
  },
  {
    rule: 'what was seen counts when it is signalled',
    source: 'transports/path/path-agent.ts',
    defence: " && candidate.kind !== 'prflx' && this.#hasRoom(now, candidate)) {",
    weakened: " && candidate.kind !== 'prflx') {",
    attack: [pacing, 'candidates are bounded > also where a peer signals what it was seen at'],
  },
  ...(
    [
      ['multicast', 'multicast (224.0.0.1) may not'],
      ['linkLocal', 'link-local (169.254.169.254) may not'],
      ['ipv4Mapped', 'IPv4-mapped (::ffff:7f00:1) may not'],
      ['rfc6052', 'IPv4 behind NAT64 (64:ff9b::7f00:1) may not'],
      ['6to4', 'IPv4 behind 6to4 (2002:7f00:1::1) may not'],
    ] as const
  ).map(
    ([range, test]): Weakening => ({
      rule: `no target is ${range}`,
      source: 'transports/path/candidate.ts',
      defence: `  '${range}',\n`,
      weakened: '',
      attack: [candidate, `a target > ${test}`],
    }),
  ),
  {
    rule: 'this machine is no target',
    source: 'transports/path/candidate.ts',
    defence: "if (range === 'loopback') return 'loopback'",
    weakened: "if (range === 'loopback') return 'usable'",
    attack: [candidate, 'a target > 127.0.0.1 may be checked only with loopback'],
  },
  {
    rule: 'no target is reserved',
    source: 'transports/path/candidate.ts',
    defence: '(parsed.octets[0] ?? 0) >= 240',
    weakened: 'false',
    attack: [candidate, 'a target > reserved (240.0.0.1) may not'],
  },
  {
    rule: 'no target is an IPv4 address in disguise',
    source: 'transports/path/candidate.ts',
    defence: 'parsed.parts.slice(0, 6).every((part) => part === 0)',
    weakened: 'false',
    attack: [candidate, 'a target > IPv4-compatible (::808:808) may not'],
  },
  {
    rule: 'signalled targets are looked at',
    source: 'transports/path/paths.ts',
    defence: 'candidates.filter(({ address }) => isUsableTarget(address, this.#options))',
    weakened: 'candidates',
    attack: [paths, 'a check > never goes where none may, whoever says so'],
  },
  {
    rule: 'sources are looked at before they are targets',
    source: 'transports/path/paths.ts',
    defence: 'if (isUsableTarget(source, this.#options)) return true',
    weakened: 'return true',
    attack: [paths, `${dropped}an authentic request from 169.254.1.1, where no check may go`],
  },
  {
    rule: 'a silent target gets three checks, and one a minute',
    source: 'transports/path/pacing.ts',
    defence: 'SilentTargetRate: Rate = { perSecond: 1 / 60, burst: 3 }',
    weakened: 'SilentTargetRate: Rate = { perSecond: 20, burst: 30 }',
    attack: [pacing, 'checks are paced > to an ip:port that never answers, however many peers name it'],
  },
  {
    rule: 'who has a direct path asks no more where others had asked enough',
    source: 'transports/path/path-agent.ts',
    defence: 'if (candidate.isStarved && this.#isContent()) {',
    weakened: 'if (false) {',
    attack: [outsiders, 'an outsider that 6 guests name as their address > sees three packets in all'],
  },
  {
    rule: 'targets are shared by all peers',
    source: 'transports/path/paths.ts',
    defence: '...this.#targets.bucketsOf(candidate.address)]',
    weakened: ']',
    attack: [
      pacing,
      'checks are paced > to an ip:port that never answers, however often a peer is added anew or signals it',
    ],
  },
  {
    rule: 'an address is one target with all its ports',
    source: 'transports/path/pacing.ts',
    defence: 'return [bucket, ofAddress]',
    weakened: 'return [bucket]',
    attack: [pacing, 'checks are paced > to all ports of an address that never answers'],
  },
  {
    rule: 'checks are paced in all',
    source: 'transports/path/pacing.ts',
    defence: 'TotalRate: Rate = { perSecond: 500, burst: 50 }',
    weakened: 'TotalRate: Rate = { perSecond: 600, burst: 60 }',
    attack: [pacing, 'checks are paced > in all: 500 a second, and yet every peer has its turn'],
  },
  {
    rule: 'checks are paced for each peer',
    source: 'transports/path/pacing.ts',
    defence: 'PeerRate: Rate = { perSecond: 20, burst: 24 }',
    weakened: 'PeerRate: Rate = { perSecond: 30, burst: 40 }',
    attack: [pacing, 'checks are paced > for one peer: two rounds at once, then twenty a second'],
  },
  {
    rule: 'answers are paced',
    source: 'transports/path/paths.ts',
    defence: 'if (buckets.some((bucket) => bucket.waitMs(now) > 0)) {',
    weakened: 'if (false) {',
    attack: [
      pacing,
      'answers > to one who has answered nothing are paced like checks, whatever ports it has',
    ],
  },
  {
    rule: 'a request is authentic',
    source: 'transports/path/paths.ts',
    defence: '} else if (!agent.credentials.isAuthenticRequest(request)) {',
    weakened: '} else if (false) {',
    attack: [paths, `${dropped}a request under a wrong password, or under none`],
  },
  {
    rule: 'a request has the names of both',
    source: 'transports/path/paths.ts',
    defence: 'agent === undefined || agent.credentials.remoteUfrag !== username?.remoteUfrag',
    weakened: 'agent === undefined',
    attack: [paths, `${dropped}a request with the username of nobody, of another, or with none`],
  },
  {
    rule: 'a response comes from where the check went',
    source: 'transports/path/paths.ts',
    defence: 'if (!candidate.isAt(source)) this.#counters.wrongSource += 1',
    weakened: 'if (false) this.#counters.wrongSource += 1',
    attack: [paths, `${dropped}a response that is forged, from elsewhere, late or doubled`],
  },
  {
    rule: 'a response is authentic',
    source: 'transports/path/paths.ts',
    defence: 'else if (!agent.credentials.isAuthenticResponse(response)) this.#counters.forgedResponse += 1',
    weakened: '',
    attack: [paths, `${dropped}a response that is forged, from elsewhere, late or doubled`],
  },
  {
    rule: 'a response is to a check under way',
    source: 'transports/path/paths.ts',
    defence: ' || now - transaction.sentAt > ResponseMs) {',
    weakened: ') {',
    attack: [paths, `${dropped}a response after 5 s`],
  },
  {
    rule: 'a response counts once',
    source: 'transports/path/paths.ts',
    defence: "      this.#transactions.delete(key)\n      if (response.class === 'error'",
    weakened: "      if (response.class === 'error'",
    attack: [paths, `${dropped}a response that is forged, from elsewhere, late or doubled`],
  },
  {
    rule: 'integrity is compared',
    source: 'transports/stun/message.ts',
    defence: 'crypto.equal(crypto.hmacSha1(key, message.integrity.covered), message.integrity.mac)',
    weakened: 'true',
    attack: [messages, 'the samples of RFC 5769 > 2.1 has the right integrity and fingerprint'],
  },
  {
    rule: 'a message without integrity is not authentic',
    source: 'transports/stun/message.ts',
    defence: 'if (message.integrity === undefined) return false',
    weakened: 'if (message.integrity === undefined) return true',
    attack: [messages, 'a STUN message > without MESSAGE-INTEGRITY is authentic under no key'],
  },
  {
    rule: 'nothing behind the integrity is read',
    source: 'transports/stun/message.ts',
    defence: '} else if (integrityAt === undefined) {',
    weakened: '} else {',
    attack: [messages, 'a STUN message > is not read beyond MESSAGE-INTEGRITY, which stays right'],
  },
  {
    rule: 'a server’s answer has the question’s transaction',
    source: 'transports/stun/client.ts',
    defence: ' && isSame(transaction.id, transactionIdOf(bytes))',
    weakened: '',
    attack: [
      'unit/stun-client.test.ts',
      'a STUN client > takes an answer only by its transaction and from the server asked, and only once',
    ],
  },
  {
    rule: 'a server’s answer comes from the server',
    source: 'transports/stun/client.ts',
    defence: 'transaction !== undefined && isAt(address, source) && ',
    weakened: 'transaction !== undefined && ',
    attack: [
      'unit/stun-client.test.ts',
      'a STUN client > takes an answer only by its transaction and from the server asked, and only once',
    ],
  },
  {
    rule: 'a port search is made while the path is relayed',
    source: 'room/port-search.ts',
    defence: 'if (peer?.isRelayed !== true || address === undefined ||',
    weakened: 'if (peer === undefined || address === undefined ||',
    attack: [
      'unit/port-search.test.ts',
      'the side with the steady port > tries nothing where there is a direct path',
    ],
  },
  {
    rule: 'port searches are far apart',
    source: 'room/port-search.ts',
    defence: ' || now < peer.restUntil) return',
    weakened: ') return',
    attack: [
      'unit/port-search.test.ts',
      'the side with the steady port > does so once a minute, however often it is asked',
    ],
  },
]
