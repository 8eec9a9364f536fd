/** The server of a zone, as `gonet serve dns` runs it, seen by resolvers and by strangers. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { Class, Flag, Rcode, Type } from '../../src/adapters/dns/constants.js'
import { type Message, readMessage, readName, readTxt, writeQuery } from '../../src/adapters/dns/message.js'
import { nameBytes } from '../../src/adapters/dns/names.js'
import { ResponseBudget } from '../../src/adapters/dns/response-budget.js'
import { ZoneAnswers } from '../../src/adapters/dns/zone-answers.js'
import { ZoneRecords } from '../../src/adapters/dns/zone-records.js'
import { ZoneServer } from '../../src/adapters/dns/zone-server.js'
import { startDns } from '../../src/cli/commands/serve-dns.js'
import { UsageError } from '../../src/core/errors.js'
import type { SocketAddress } from '../../src/core/machine.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { type DnsServer, serveDns } from '../../src/node/serve-dns.js'
import { ManualClock } from '../contract/manual-clock.js'

const zone = 'gonet.test'
const topic = 'abcdefghijklmnopqrst'
const local = { address: '127.0.0.1', port: 0 }
let server: DnsServer | undefined

const serve = async (): Promise<DnsServer> => {
  server = await serveDns({ listen: local, zone, advertised: '192.0.2.53' })
  return server
}

afterEach(async () => {
  await server?.close()
  server = undefined
})

/** A question of any type, with or without EDNS. */
function question(name: string, type: number, { edns = true, opcode = 0 } = {}): Buffer {
  const bytes = Buffer.from(writeQuery(7, name, 'TXT'))
  bytes.writeUInt16BE(type, 12 + nameBytes(name).length)
  bytes.writeUInt16BE((opcode << 11) | Flag.RD, 2)
  if (edns) return bytes
  bytes.writeUInt16BE(0, 10)
  return bytes.subarray(0, bytes.length - 11)
}

async function ask(
  { address: { address, port } }: { address: SocketAddress },
  request: Uint8Array,
): Promise<Buffer> {
  const socket = createSocket('udp4')
  onTestFinished(() => void socket.close())
  socket.send(request, port, address)
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  return bytes
}

const answer = async (name: string, type: number): Promise<Message> =>
  readMessage(await ask(server ?? (await serve()), question(name, type)))

describe('the server of a zone', () => {
  it('knows what a zone has', async () => {
    const soa = await answer(zone, Type.SOA)
    expect(soa).toMatchObject({ rcode: Rcode.NOERROR, answers: [{ name: zone, type: Type.SOA }] })
    expect(soa.flags & Flag.AA).toBe(Flag.AA)
    const [ns] = (await answer(zone, Type.NS)).answers
    expect(ns && readName(ns.data, 0).name).toBe(`ns.${zone}`)
    const [address] = (await answer(`ns.${zone}`, Type.A)).answers
    expect([...(address?.data ?? [])]).toEqual([192, 0, 2, 53])
    expect((await answer(`ns.${zone}`, Type.AAAA)).answers).toEqual([])
  })

  it.each([
    'd',
    `${topic}.d`,
    `host.${topic}.d`,
    `reply.${topic}.d`,
    `guest.reply.${topic}.d`,
    'u',
    't',
    `${topic}.b`,
  ])('says that %s has nothing, not that it does not exist', async (name) => {
    const { rcode, answers, authorities } = await answer(`${name}.${zone}`, Type.A)
    expect({ rcode, answers, soa: authorities.map(({ type, name: owner }) => [type, owner]) }).toEqual({
      rcode: Rcode.NOERROR,
      answers: [],
      soa: [[Type.SOA, zone]],
    })
  })

  it.each(['x', 'www', `short.d`, `x.${topic}.b`, `other.${topic}.d`, `a.b.t`])(
    'says that %s does not exist',
    async (name) => {
      const { rcode, authorities } = await answer(`${name}.${zone}`, Type.TXT)
      expect([rcode, authorities[0]?.type]).toEqual([Rcode.NXDOMAIN, Type.SOA])
    },
  )

  it('answers for nothing else, and transfers nothing', async () => {
    for (const [name, type] of [
      ['example.org', Type.A],
      [`x${zone}`, Type.SOA],
      ['test', Type.NS],
      [zone, Type.AXFR],
      [zone, Type.ANY],
    ] as const) {
      const { rcode, flags, answers } = await answer(name, type)
      expect([name, rcode, flags & Flag.AA, answers]).toEqual([name, Rcode.REFUSED, 0, []])
    }
    const update = await ask(await serve(), question(zone, Type.SOA, { opcode: 5 }))
    expect(readMessage(update).rcode).toBe(Rcode.NOTIMP)
  })

  it('repeats the question in its case', async () => {
    const name = 'AaAaaaaA.T.GoNeT.tEsT'
    const bytes = await ask(await serve(), question(name, Type.TXT))
    expect(bytes.includes(Buffer.from(nameBytes(name)))).toBe(true)
    const [record] = readMessage(bytes).answers
    expect(record && Buffer.from(readTxt(record.data) ?? []).toString()).toBe('gonet 1')
  })

  it('never answers an answer, and takes no rubbish amiss', async () => {
    const { address } = await serve()
    const socket = createSocket('udp4')
    onTestFinished(() => void socket.close())
    const response = question(zone, Type.SOA)
    response.writeUInt16BE(Flag.QR, 2)
    const answered: number[] = []
    socket.on('message', (bytes) => answered.push(bytes.readUInt16BE(0)))
    for (const bytes of [response, Buffer.alloc(3), Buffer.alloc(0)])
      socket.send(bytes, address.port, address.address)
    const last = question(zone, Type.SOA)
    last.writeUInt16BE(9, 0)
    socket.send(last, address.port, address.address)
    await once(socket, 'message')
    expect(answered).toEqual([9])
  })

  it('truncates what is too large for UDP, and gives it over TCP, one after the other', async () => {
    const records = new ZoneRecords({ clock: systemClock, random: systemRandom })
    const yes = (): boolean => true
    const options = { zone, advertised: '127.0.0.1', records, clock: systemClock, takes: yes, shows: yes }
    const running = new ZoneServer({ answers: new ZoneAnswers(options), clock: systemClock })
    const address = await running.listen(local)
    onTestFinished(() => running.close())
    const bytes = new Uint8Array(700)
    records.put({ topic, box: 'host', sender: 'a', bytes, expiresInMs: 9_000 }, { source: 'x', token: 'x' })
    const name = `${topic}.b.${zone}`
    const full = readMessage(await ask({ address }, question(name, Type.TXT)))
    expect(full.answers[0]?.ttl).toBe(8)
    const plain = await ask({ address }, question(name, Type.TXT, { edns: false }))
    expect(plain.length).toBeLessThanOrEqual(512)
    expect(readMessage(plain)).toMatchObject({ answers: [], additionals: [] })
    expect(readMessage(plain).flags & Flag.TC).toBe(Flag.TC)
    const socket = connect(address.port, address.address)
    onTestFinished(() => void socket.destroy())
    const request = question(name, Type.TXT, { edns: false })
    const framed = Buffer.concat([Uint8Array.of(0, request.length), request])
    socket.write(Buffer.concat([framed, framed]))
    let received = Buffer.alloc(0)
    let length = 0
    while (length === 0 || received.length < 2 * (length + 2)) {
      received = Buffer.concat([received, ((await once(socket, 'data')) as [Buffer])[0]])
      length = received.readUInt16BE(0)
    }
    expect(readMessage(received.subarray(2, 2 + length)).answers).toHaveLength(1)
  })

  it('ends connections that are idle, or that announce too much', async () => {
    const clock = new ManualClock()
    const records = new ZoneRecords({ clock, random: systemRandom })
    const yes = (): boolean => true
    const options = { zone, advertised: '127.0.0.1', records, clock, takes: yes, shows: yes }
    const running = new ZoneServer({ answers: new ZoneAnswers(options), clock })
    const address = await running.listen(local)
    onTestFinished(() => running.close())
    const greedy = connect(address.port, address.address)
    greedy.on('error', () => undefined)
    greedy.write(Uint8Array.of(0xff, 0xff))
    await once(greedy, 'close')
    const idle = connect(address.port, address.address)
    idle.on('error', () => undefined)
    const request = question(zone, Type.SOA)
    idle.write(Buffer.concat([Uint8Array.of(0, request.length), request]))
    await once(idle, 'data')
    const ended = once(idle, 'close')
    clock.advance(10_000)
    await ended
  })

  it('refuses a port that is taken and a zone that is none; closes twice and leaves the port free', async () => {
    const { address } = await serve()
    const again = (): Promise<DnsServer> => serveDns({ listen: address, zone, advertised: '127.0.0.1' })
    await expect(again()).rejects.toMatchObject({ code: 'listen-failed' })
    await expect(serveDns({ listen: local, zone: 'a..b', advertised: '127.0.0.1' })).rejects.toThrow(
      UsageError,
    )
    await server?.close()
    await server?.close()
    server = await again()
  })

  it('is what the command says', async () => {
    const running = await startDns(local, 'Gonet.Test.')
    onTestFinished(() => running.close())
    const { address } = running.details
    expect(running.what).toBe(
      `a DNS server of gonet.test at ${address ?? ''} (UDP and TCP)`.replace('a DNS', 'the DNS'),
    )
    expect(running.peerOptions).toEqual([
      `--signal dns --set adapters.dns.zone=gonet.test --set adapters.dns.resolver=${address ?? ''}`,
      '--signal dns --set adapters.dns.zone=gonet.test',
    ])
  })
})

describe('what goes to an address that nobody has proved', () => {
  it('is bounded in bytes: beyond, only what makes an honest resolver come over TCP', () => {
    const budget = new ResponseBudget()
    let sent = 0
    for (let at = 0; at < 2_000; at++) if (budget.judge('victim', 60, 1_200, at) === 'send') sent += 1_200
    expect(sent).toBeLessThanOrEqual(262_144 + 2 * 32_768)
    expect(budget.judge('victim', 60, 1_200, 2_000)).toBe('truncate')
    expect(budget.judge('other', 60, 1_200, 2_000)).toBe('send')
    expect(budget.judge('victim', 60, 100, 2_000)).toBe('send')
  })

  it('is bounded in number, and in all', () => {
    const budget = new ResponseBudget()
    const verdicts = Array.from({ length: 12_000 }, () => budget.judge('victim', 60, 60, 0))
    expect(verdicts.filter((verdict) => verdict === 'send')).toHaveLength(10_000)
    expect(verdicts.filter((verdict) => verdict === 'drop')).toHaveLength(1_000)
    let all = 0
    for (let at = 0; at < 10_000; at++) if (budget.judge(`s${at}`, 60, 1_200, 0) === 'send') all += 1_200
    expect(all).toBeLessThanOrEqual(4_194_304)
  })
})

it('every class but IN is refused', async () => {
  const bytes = question(zone, Type.SOA)
  bytes.writeUInt16BE(Class.ANY, 12 + nameBytes(zone).length + 2)
  expect(readMessage(await ask(await serve(), bytes)).rcode).toBe(Rcode.REFUSED)
})
