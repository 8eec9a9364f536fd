/** What a broker gets to see of a room: every byte between it and its clients, looked through for clear words. */
import { networkInterfaces } from 'node:os'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { startTcpRelay, type TcpRelay } from '../servers/tcp-relay.js'
import { Workbench } from './workbench.js'

let broker: Mosquitto
let line: TcpRelay
let bench: Workbench

/** Keys and fixed values of messages (docs/protocol.md, Messages), and YAML's own marks. */
const Words = [
  ...[
    'version',
    '---',
    'room',
    'publicKey',
    'action',
    'username',
    'seal',
    'epoch',
    'admission',
    'open',
    'nonce',
  ],
  ...['box', 'wireguard', 'ice', 'candidates', 'srflx', 'welcome', 'peer', 'method', 'SHA-512', 'address'],
  ...['inReplyTo', 'subnet', 'signature'],
]

describe.skipIf(mosquittoMissing !== undefined)('a broker', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
  })
  beforeEach(async () => {
    bench = new Workbench()
    line = await startTcpRelay(broker.port)
  })
  afterEach(async () => {
    await bench.close()
    await line.close()
  })
  afterAll(() => broker.close())

  it('sees of a join no name, key word, address, key or room id', async () => {
    const start = (name: string, ...args: string[]) => {
      const url = `adapters.mqtt.url=mqtt://127.0.0.1:${line.port}`
      const common = ['--json', '--signal=mqtt', '--set', url, '--name', name, '--state', name]
      return bench.start(...common, ...args)
    }
    const host = start('Rumpelstilzchen', 'create')
    const { room, key, address } = await host.next('room')
    const guest = start('Schneewittchen', 'join', room)
    const joined = await guest.next('joined')
    guest.end('Spieglein an der Wand')
    await host.next('message')
    expect((await guest.finished).code).toBe(0)
    host.signal('SIGTERM')
    await host.finished

    // As text and as bytes: latin1 keeps each byte apart.
    const seen = line.seen.toString('latin1').toLowerCase()
    expect(seen).toContain('gonet/1/')
    expect(seen.match(/gonet\/1\/[a-z2-7]{20}\/(host|join|reply)/g)?.length).toBeGreaterThan(3)
    const own = Object.values(networkInterfaces()).flatMap((all) => all?.map((each) => each.address) ?? [])
    const guestKey = host.events.flatMap((event) => (event.event === 'member' ? [event.key] : []))[0]!
    const secrets = [
      ...['Rumpelstilzchen', 'Schneewittchen', 'Spieglein'],
      ...[address, joined.address, ...own.filter((each) => each !== '127.0.0.1' && each !== '::1')],
      ...formsOf(key),
      ...formsOf(guestKey),
      ...[room, room.slice(0, 6), room.slice(-6), Buffer.from(room, 'hex').toString('latin1')],
    ]
    for (const secret of [...secrets, ...wordsOf(seen)]) expect(seen).not.toContain(secret.toLowerCase())
  })
})

/** A public key as it could stand there. */
function formsOf(key: string): string[] {
  const bytes = Buffer.from(key, 'base64')
  return [key, bytes.toString('hex'), bytes.toString('latin1')]
}

/**
 * Key words as a message has them: `word:` at the beginning of a line, or alone on it. Words as short as `box`
 * stand in sealed bytes by chance.
 */
function wordsOf(seen: string): string[] {
  const pattern = (word: string): RegExp => new RegExp(`(^|\\n)${word.toLowerCase()}(: |\\n)`)
  const long = Words.filter((word) => word.length > 4)
  return [...long, ...Words.filter((word) => pattern(word).test(seen))]
}
