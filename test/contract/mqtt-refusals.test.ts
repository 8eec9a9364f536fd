/** What brokers refuse, by their codes or silently, and the one line that says so. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { MqttOptions } from '../../src/adapters/mqtt/definition.js'
import { UsageError } from '../../src/core/errors.js'
import type { Clock } from '../../src/core/ports.js'
import { systemClock } from '../../src/node/clock.js'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { type Mosquitto, type MosquittoOptions, mosquittoMissing } from '../servers/mosquitto.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import {
  atEnd,
  beaconsAt,
  Connack5,
  fakeBroker,
  mosquitto,
  never,
  type Opened,
  open,
  recordOf,
  Seen,
  topic,
} from './mqtt-bench.js'
import { onlyOldMqtt } from './mqtt-fixture.js'

const withoutLabel = (reason: string): string => reason.replace(/^127\.0\.0\.1:\d+: /, '')
const login = { username: 'alice', password: 'correct horse' }
const NotKept =
  'the broker took our beacon but does not show it: an access list, a limit or a full store may forbid it'
/** Twice as fast as others, since silence takes its time to be noticed. */
const hasty: Clock = {
  now: () => systemClock.now() * 2,
  after: (delayMs, callback) => systemClock.after(delayMs / 2, callback),
}

interface Server {
  readonly url: string
}

const versions: [version: string, start: (options: MosquittoOptions) => Promise<Server>][] = [
  ['5', mosquitto],
  [
    '3.1.1',
    async (options) => {
      const { port } = await mosquitto(options)
      const relay = await startTcpRelay(port, { intercept: onlyOldMqtt })
      atEnd(() => relay.close())
      return { url: `mqtt://127.0.0.1:${relay.port}` }
    },
  ],
]

const withBeacon = async (
  url: string,
  bytes = 300,
  options: Partial<Omit<MqttOptions, 'url'>> = {},
): Promise<Opened> => {
  const host = await open({ url: [url], ...options }, { clock: hasty })
  host.adapter.publish(recordOf({ bytes: new Uint8Array(bytes) }), never).catch(() => undefined)
  return host
}

describe.skipIf(mosquittoMissing !== undefined).each(versions)('mosquitto with MQTT %s', (version, start) => {
  const isOld = version === '3.1.1'

  it('says why it takes no beacon', async () => {
    const unknown = 'not authorized (username and password may be wrong or missing)'
    const refused = isOld ? NotKept : 'the broker refused a record: not authorized'
    const keepsNothing = 'the broker does not keep retained messages'
    const tooLarge = 'the broker takes no packet of this size'
    const withAccess = (...access: string[]): MosquittoOptions => ({ users: [{ ...login, access }] })
    const cases: [
      options: MosquittoOptions,
      own: Partial<Omit<MqttOptions, 'url'>>,
      reason: string | RegExp,
    ][] = [
      [withAccess('topic readwrite gonet/#'), {}, unknown],
      [withAccess('topic readwrite gonet/#'), { ...login, password: 'hunter2' }, unknown],
      [withAccess('topic read gonet/#'), login, refused],
      [withAccess('topic write gonet/#'), login, NotKept],
      [withAccess('topic readwrite other/#'), login, refused],
      [{ lines: ['retain_available false'] }, {}, isOld ? /\w/ : keepsNothing],
      [
        { lines: ['message_size_limit 1000'] },
        {},
        isOld ? NotKept : 'the broker refused a record, which may be too large',
      ],
      [{ lines: ['max_packet_size 1000'] }, {}, isOld ? 'the broker closed the connection' : tooLarge],
    ]
    const reasons = await Promise.all(
      cases.map(async ([options, own]) => {
        const host = await withBeacon((await start(options)).url, 3000, own)
        const reason = withoutLabel(await host.down())
        expect(JSON.stringify(host.states)).not.toMatch(/correct horse|hunter2|alice/)
        return reason
      }),
    )
    for (const [index, [, , reason]] of cases.entries()) {
      if (typeof reason === 'string') expect(reasons[index]).toBe(reason)
      else expect(reasons[index]).toMatch(reason)
    }
  })

  it('says so where there are too many connections', async () => {
    const { url } = await start({ lines: ['max_connections 1'] })
    const first = await open({ url: [url] })
    await first.up()
    const second = await open({ url: [url] })
    expect(withoutLabel(await second.down())).toMatch(
      /^the broker closed the connection.*\(perhaps it is full/,
    )
    await first.adapter.close()
    await second.up()
  })

  it('goes on where a broker queues one message for each client', async () => {
    const { url } = await start({ lines: ['max_queued_messages 1', 'max_inflight_messages 1'] })
    const [host, guest] = [await withBeacon(url), await open({ url: [url] })]
    const joins = new Seen()
    await host.adapter.watch(topic, 'join', joins.add, never)
    // Some are lost, which is why the engine repeats them.
    const senders = Array.from({ length: 50 }, (_, index) => `guest${index}`)
    await Promise.all(
      senders.map((sender) => guest.adapter.publish(recordOf({ box: 'join', sender }), never)),
    )
    for (const sender of senders) {
      let isShown = false
      const shown = joins.shows(sender).then(() => {
        isShown = true
      })
      while (!isShown) {
        await guest.adapter.publish(recordOf({ box: 'join', sender }), never)
        await Promise.race([shown, sleep(100)])
      }
    }
    expect(await beaconsAt(url)).toEqual(['epoch'])
    expect(host.states).toEqual([{ state: 'up' }])
  })
})

describe('the embedded broker', () => {
  it('is said to be full where it keeps no more beacons, and used when it keeps ours', async () => {
    const served = await serveMqtt({ address: '127.0.0.1', port: 0 }, { maxRetained: 1 })
    atEnd(() => served.close())
    const first = await open({ url: [served.url] })
    await first.adapter.publish(recordOf(), never)
    const second = await open({ url: [served.url] }, { clock: hasty })
    await second.adapter.publish(recordOf({ sender: 'other' }), never)
    expect(withoutLabel(await second.down())).toBe(NotKept)
    await first.adapter.close()
    await second.up()
  })

  it('says that it is full for one address', async () => {
    const limits = { maxConnections: 8, ownerOf: () => 'all' }
    const served = await serveMqtt({ address: '127.0.0.1', port: 0 }, limits)
    atEnd(() => served.close())
    await (await open({ url: [served.url] })).up()
    const second = await open({ url: [served.url] })
    expect(withoutLabel(await second.down())).toBe('the broker is unavailable or busy')
  })
})

describe('the codes of MQTT 5', () => {
  /** Sections 2.4, 3.2.2.2 and 3.14.2.1. */
  const [connackCodes, disconnectCodes] = [
    [128, 129, 130, 131, 133, 134, 135, 136, 137, 138, 140, 144, 149, 151, 153, 154, 155, 156, 157, 159],
    [
      0, 128, 129, 130, 131, 135, 137, 139, 141, 142, 143, 144, 147, 148, 149, 150, 151, 152, 153, 154, 155,
      156,
    ].concat([157, 158, 159, 160, 161, 162]),
  ]
  const reasonFor = async (answer: (socket: Socket) => void): Promise<string> => {
    const url = await fakeBroker((socket) => {
      socket.once('data', () => {
        answer(socket)
      })
    })
    const host = await open({ url: [url] })
    const reason = withoutLabel(await host.down())
    await host.adapter.close()
    return reason
  }

  it('are one line each, when a broker refuses the connection', async () => {
    const reasons = await Promise.all(
      connackCodes.map((code) => reasonFor((socket) => socket.end(Uint8Array.of(0x20, 3, 0, code, 0)))),
    )
    for (const reason of reasons) expect(reason).toMatch(/^[^\n]{5,90}$/)
    const said = Object.fromEntries(connackCodes.map((code, index) => [code, reasons[index]]))
    expect(said).toMatchObject({
      134: 'wrong username or password',
      137: 'the broker is unavailable or busy',
      138: 'the broker has banned us',
      151: 'over the quota',
      154: 'the broker does not keep retained messages',
      157: 'the broker has moved',
      159: 'the broker takes no more connections now (its rate limit)',
    })
  })

  it('are one line each, when a broker ends the connection', async () => {
    const reasons = await Promise.all(
      disconnectCodes.map((code) =>
        reasonFor((socket) => {
          socket.write(Connack5)
          socket.end(Uint8Array.of(0xe0, 2, code, 0))
        }),
      ),
    )
    for (const reason of reasons) expect(reason).toMatch(/^[^\n]{5,90}$/)
    const said = Object.fromEntries(disconnectCodes.map((code, index) => [code, reasons[index]]))
    expect(said).toMatchObject({
      139: 'the broker is shutting down',
      150: 'the broker ended the connection: too many messages in a short time',
      151: 'the broker ended the connection: over the quota',
      152: 'the broker ended the connection: an administrator ended it',
    })
  })

  /** Sections 3.4.2.1 and 3.9.3. */
  it.each([
    ['a record', 0x32, [128, 131, 135, 144, 151, 153]],
    ['a watch', 0x82, [128, 131, 135, 143, 151, 162]],
  ])('are one line each, when a broker refuses %s', async (what, asked, codes) => {
    for (const code of codes) {
      const url = await fakeBroker((socket) => {
        socket.on('data', (bytes: Buffer) => {
          if (bytes[0] === 0x10) socket.write(Connack5)
          if (bytes[0] !== asked) return
          // Every packet of this test is short; the identifier of a PUBLISH follows its topic.
          const at = asked === 0x82 ? 2 : 4 + (bytes[3] ?? 0)
          const identifier = [bytes[at] ?? 0, bytes[at + 1] ?? 0]
          socket.write(
            asked === 0x82
              ? Uint8Array.of(0x90, 4, ...identifier, 0, code)
              : Uint8Array.of(0x40, 4, ...identifier, code, 0),
          )
        })
      })
      const host = await open({ url: [url] })
      await host.up()
      const words =
        asked === 0x82
          ? /^the broker does not let us watch: [^\n]{5,60}$/
          : /^the broker refused a record: [^\n]{5,60}$/
      if (what === 'a watch') {
        void host.adapter.watch(topic, 'join', () => undefined, never).catch(() => undefined)
        expect(withoutLabel(await host.down())).toMatch(words)
      } else {
        const published = host.adapter.publish(recordOf({ box: 'join', sender: 'a' }), never)
        await expect(published).rejects.toMatchObject({ code: 'publish-refused' })
        expect(
          withoutLabel((await published.catch((error: unknown) => (error as Error).message)) as string),
        ).toMatch(words)
        expect(host.states).toEqual([{ state: 'up' }])
      }
    }
  })
})

describe.skipIf(mosquittoMissing !== undefined).each(['mqtts', 'wss'])('%s', (scheme) => {
  const strict = (): Promise<Mosquitto & { url: string }> =>
    mosquitto({ tls: true, webSockets: scheme === 'wss', lines: ['require_certificate true'] })

  it('lets in with a certificate that the broker trusts', async () => {
    const server = await strict()
    const host = await open({ url: [server.url], ...server.clientCertificate('alice') })
    await host.up()
    await host.adapter.publish(recordOf(), never)
  })

  it('says which certificate is missing, wrong or over', async () => {
    const [server, other] = [await strict(), await mosquitto({ tls: true })]
    const { ca } = server.certificates!
    const stranger = other.clientCertificate('alice')
    const expired = server.clientCertificate('alice', -1)
    const reasons = await Promise.all(
      [
        { ca },
        { ca, cert: stranger.cert, key: stranger.key },
        expired,
        { ...server.clientCertificate('bob'), ca: other.certificates?.ca },
        server.clientCertificate('carol'),
      ].map(async (options, index) => {
        const host = await open({ url: [server.url], ...options })
        if (index < 4) return withoutLabel(await host.down())
        await host.up()
        return 'up'
      }),
    )
    expect(reasons).toEqual([
      'the broker wants a client certificate (adapters.mqtt.cert and .key)',
      'the broker does not trust whoever signed our certificate (adapters.mqtt.cert)',
      'the broker says that our certificate has expired (adapters.mqtt.cert)',
      "the broker's certificate is not signed by an authority that we trust (adapters.mqtt.ca)",
      'up',
    ])
  })

  it('says what is wrong with the files', async () => {
    const server = await mosquitto({ tls: true, webSockets: scheme === 'wss' })
    const { ca, cert, key } = server.certificates!
    const other = server.clientCertificate('alice')
    const url = [server.url]
    for (const options of [
      { ca: key },
      { ca, cert },
      { ca, key },
      { cert, key: ca },
      { cert, key: other.key },
      { ca: `${ca}.missing` },
    ]) {
      await expect(open({ url, ...options })).rejects.toThrow(UsageError)
    }
  })

  it('says what is wrong with the name or the end of TLS', async () => {
    const [plain, secure] = [await mosquitto(), await mosquitto({ tls: true })]
    const reasonAt = async (url: string, options = {}): Promise<string> =>
      withoutLabel(await (await open({ url: [url], ...options })).down())
    expect(await reasonAt(plain.url.replace('mqtt', 'mqtts'))).toBe(
      'the broker closed the connection without an answer (perhaps without TLS: mqtt://)',
    )
    expect(await reasonAt(secure.url.replace('mqtts', 'mqtt'))).toBe(
      'the broker closed the connection without an answer (perhaps it is full, or expects TLS: mqtts://)',
    )
    const ca = secure.certificates?.ca
    expect(
      (await reasonAt(secure.url.replace('127.0.0.1', '127.0.0.2'), { ca })).replace(/^.*?: /, ''),
    ).toMatch(/refused|for another name/)
  })
})
