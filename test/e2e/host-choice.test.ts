/** Two hosts that claim one short room id, as users meet them, over mosquitto on loopback. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { formatKey, identityFromSeed, keyHash } from '../../src/core/identity.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { formatIdentity } from '../../src/node/identity-file.js'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { twoHostsOfOneRoom } from '../sim/two-hosts.js'
import { complaints, type Running, Workbench } from './workbench.js'

const { room, seeds } = twoHostsOfOneRoom()
const keys = seeds.map((seed) => identityFromSeed(crypto, seed).publicKey)
const names = ['true-host', 'squatter'] as const

let broker: Mosquitto
let bench: Workbench

function start(name: string, ...args: readonly string[]): Running {
  const url = `adapters.mqtt.url=mqtt://127.0.0.1:${broker.port}`
  return bench.start('--json', '--signal=mqtt', '--set', url, '--state', name, '--name', name, ...args)
}

async function startHost(index: 0 | 1): Promise<Running> {
  const host = start(names[index], 'create', room)
  await host.next('room')
  return host
}

async function refusal(guest: Running): Promise<{ code: string; message: string; exitCode: number | null }> {
  guest.end()
  const { code: exitCode, stderr } = await guest.finished
  expect(complaints(stderr)).toHaveLength(1)
  const refused = guest.events.filter((event) => event.event === 'refused')
  expect(refused).toHaveLength(1)
  return { ...refused[0]!, exitCode }
}

describe.skipIf(mosquittoMissing !== undefined)('a short room id', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
  })
  beforeEach(async () => {
    bench = new Workbench()
    for (const [index, name] of names.entries()) {
      const text = formatIdentity({ seed: seeds[index]!, room })
      expect((await bench.run(['--state', name, 'identity', 'import', '-'], text)).code).toBe(0)
    }
  })
  afterEach(() => bench.close())
  afterAll(() => broker.close())

  it('that two hosts claim is refused with words that tell them apart, and joined by those', async () => {
    const [host] = [await startHost(0), await startHost(1)]
    const { code, message, exitCode } = await refusal(start('alice', 'join', room))
    expect([code, exitCode]).toEqual(['room-ambiguous', 5])
    for (const key of keys) expect(message).toContain(`${room}/${keyHash(crypto, key).slice(0, 16)}`)
    const guest = start('alice', 'join', `${room}/${keyHash(crypto, keys[0]!).slice(0, 16)}`)
    guest.end('to the true host\n')
    expect(await host.next('message')).toMatchObject({ from: 'alice', text: 'to the true host' })
    expect((await guest.finished).code).toBe(0)
  }, 40_000)

  it('is pinned to its first host: another one is refused, with both keys', async () => {
    const host = await startHost(0)
    const first = start('alice', 'join', room)
    first.end('hello\n')
    await host.next('message')
    expect((await first.finished).code).toBe(0)
    host.signal('SIGTERM')
    await host.finished
    const squatter = await startHost(1)
    const { code, message, exitCode } = await refusal(start('alice', 'join', room))
    expect([code, exitCode]).toEqual(['host-key-changed', 5])
    for (const key of keys) expect(message).toContain(formatKey(key))
    // A faster squatter does not matter where the true host is there too.
    const again = await startHost(0)
    const second = start('alice', 'join', room)
    second.end('still you\n')
    expect(await again.next('message')).toMatchObject({ text: 'still you' })
    expect((await second.finished).code).toBe(0)
    expect(squatter.events.some(({ event }) => event === 'message')).toBe(false)
  }, 60_000)
})
