/**
 * What happens to a chat while networks change beneath it: NATs forget, members move, relays die, paths go dead.
 * Both sides go on talking all the while; nothing may be lost, and nothing shown twice.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { Conversation } from '../lab/conversation.js'
import { missingForLab } from '../lab/namespace.js'
import { type Access, NatLabCommands, type NatType } from '../lab/nat.js'
import { NatPair } from '../lab/nat-pair.js'
import { LabServersCommands } from '../lab/servers.js'

const missing = missingForLab(...NatLabCommands, ...LabServersCommands)

/** How long a change may stop the chat. */
const RecoveryMs = 10_000
/** Waits fail only after this, so that a slow machine is told from a broken path by what is measured. */
const PatienceMs = 40_000
const TimeoutMs = 120_000

let pair: NatPair | undefined
let talk: Conversation | undefined

type Options = Parameters<typeof NatPair.open>[2]

describe.skipIf(missing.length > 0)('a chat goes on', () => {
  afterEach(async () => {
    talk?.stop()
    await pair?.close()
  })

  it(
    'when the mappings of one side are flushed, and then those of both',
    async () => {
      const { lab } = await begin('port-restricted', 'port-restricted', 'direct')
      await lab.flush('b')
      await worksAgain()
      await Promise.all([lab.flush('a'), lab.flush('b')])
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it.each<NatType>(['restricted', 'symmetric'])(
    'when the guest moves to a network that is %s',
    async (to) => {
      const { lab } = await begin('port-restricted', 'full-cone', 'direct')
      await lab.roam('b', to)
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it(
    "when the host's public address changes",
    async () => {
      const { lab } = await begin('port-restricted', 'port-restricted', 'direct')
      await lab.setPublicAddress('a')
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it(
    'when the relay is killed and comes back',
    async () => {
      const { turnServers } = await begin('symmetric', 'symmetric', 'relay')
      await turnServers[0]!.kill()
      await turnServers[0]!.start()
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it(
    'when the relay in use is killed and there is another',
    async () => {
      const { paths, turnServers } = await begin('symmetric', 'symmetric', 'relay', {
        secondTurnServer: true,
      })
      // One of the two sides at least sends to an address that is a relay's.
      const remotes = paths.map((path) => path!.remote.replace(/:\d+$/, ''))
      const inUse = turnServers.find(({ addresses }) => remotes.some((each) => addresses.includes(each)))
      await inUse!.kill()
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it(
    'over a relay while direct paths are dead, and directly when they are back',
    async () => {
      const { lab } = await begin('port-restricted', 'port-restricted', 'direct')
      await lab.setUdpBetweenClients(false)
      await pair!.untilRelayed(PatienceMs)
      await worksAgain()
      await lab.setUdpBetweenClients(true)
      await pair!.untilDirect(PatienceMs)
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it.each<[NatType, 'direct' | 'relay']>([
    ['port-restricted', 'direct'],
    ['symmetric', 'relay'],
  ])(
    'while 1 and then 10 % of the UDP is lost, between two that are %s, %s',
    async (type, wanted) => {
      const { lab } = await begin(type, type, wanted)
      await lab.setLoss(0.01)
      await worksAgain()
      await lab.setLoss(0.1)
      await worksAgain()
      await end()
    },
    TimeoutMs,
  )

  it.each<[string, Access, Access]>([
    [
      'both have IPv4 and IPv6',
      { type: 'port-restricted', family: 'dual' },
      { type: 'port-restricted', family: 'dual' },
    ],
    [
      'the guest has IPv6 alone',
      { type: 'port-restricted', family: 'dual' },
      { type: 'firewall', family: 'ipv6' },
    ],
  ])(
    'where %s',
    async (_, a, b) => {
      await begin(a, b, 'direct')
      await worksAgain()
      for (const path of pair!.paths) expect(path!.remote).toMatch(/^\[2001:db8:/)
      await end()
    },
    TimeoutMs,
  )
})

/** Two members who talk, over a path of that kind. */
async function begin(
  a: NatType | Access,
  b: NatType | Access,
  wanted: 'direct' | 'relay',
  options: Options = {},
): Promise<NatPair> {
  pair = await NatPair.open(a, b, options)
  const { room } = await pair.startHost()
  await pair.startGuest(room).next('joined')
  talk = new Conversation(pair.host, pair.guest)
  await talk.untilHeard(1, PatienceMs)
  if (wanted === 'direct') await pair.untilDirect(PatienceMs)
  else await pair.untilRelayed(PatienceMs)
  return pair
}

/** What is said after a change is shown again, and nothing has been late. */
async function worksAgain(): Promise<void> {
  await talk!.untilHeard(20, PatienceMs)
  expect(talk!.worstMs).toBeLessThan(RecoveryMs)
}

/** All has been shown that was said, once and in order. */
async function end(): Promise<void> {
  for (const { said, shown } of await talk!.end(PatienceMs)) expect(shown).toEqual(said)
}

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}
