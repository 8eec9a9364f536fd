/** What is wrong with etcd, and the one line that says so. */
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import { type EtcdUser, etcdMissing } from '../servers/etcd.js'
import { freePort } from '../servers/free-port.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import { atEnd, never, type Opened, open, recordOf, Seen, server, topic } from './etcd-bench.js'

const login = { username: 'alice', password: 'correct horse' }
const MayNotWrite = 'this user may not write our keys (etcdctl role grant-permission)'
const MayNotRead = 'this user may not read our keys (etcdctl role grant-permission)'

describe.skipIf(etcdMissing !== undefined)('etcd', () => {
  it('that wants a login says which one is wrong', async () => {
    const users = [{ ...login, access: ['readwrite gonet/'] }]
    const { url } = await server({ users })
    const reasons = await Promise.all(
      [{}, { ...login, password: 'hunter2' }, { username: 'mallory', password: 'hunter2' }].map(
        async (own) => {
          const host = await open({ endpoints: [url], ...own })
          host.adapter.publish(recordOf(), never).catch(() => undefined)
          const reason = await host.down()
          expect(JSON.stringify(host.states)).not.toMatch(/correct horse|hunter2|alice|mallory/)
          return reason
        },
      ),
    )
    expect(reasons).toEqual([
      'etcd wants a username and a password (adapters.etcd.username)',
      'wrong username or password',
      'wrong username or password',
    ])
    await (await open({ endpoints: [url], ...login })).up()
  })

  it('that lets a user only read or only write says so', async () => {
    const reader = { ...login, access: ['read gonet/'] }
    const writer = { username: 'bob', password: 'battery staple', access: ['write gonet/'] }
    const started = await server({ users: [reader, writer] })
    const endpoints = [started.url]
    const as = ({ username, password }: EtcdUser): Promise<Opened> => open({ endpoints, username, password })
    const [reading, writing] = [await as(reader), await as(writer)]
    const published = reading.adapter.publish(recordOf(), never)
    await expect(published).rejects.toMatchObject({ code: 'publish-refused' })
    expect(await reading.down()).toBe(MayNotWrite)
    await writing.adapter.publish(recordOf({ sender: 'blind' }), never)
    expect(writing.states).toEqual([{ state: 'up' }])
    const watched = writing.adapter.watch(topic, 'join', () => undefined, never)
    await expect(watched).rejects.toMatchObject({ code: 'watch-refused' })
    expect(await writing.down()).toBe(MayNotRead)
    expect(await started.ctl('get', '--prefix', '--keys-only', 'gonet/')).toContain('host/blind')
  })

  it('that asks for no login lets in who has one', async () => {
    const { url } = await server()
    const host = await open({ endpoints: [url], ...login })
    await host.adapter.publish(recordOf(), never)
  })

  it('says what is wrong with TLS', async () => {
    const [plain, secure, strict, other] = [
      await server(),
      await server({ tls: true }),
      await server({ tls: true, args: ['--client-cert-auth'] }),
      await server({ tls: true }),
    ]
    const { ca } = secure.certificates ?? {}
    const stranger = other.clientCertificate('alice')
    const cases: [options: Parameters<typeof open>[0], reason: string | RegExp][] = [
      [
        { endpoints: [secure.url] },
        "etcd's certificate is not signed by an authority that we trust (adapters.etcd.ca)",
      ],
      [
        { endpoints: [secure.url], ca: other.certificates?.ca },
        "etcd's certificate is not signed by an authority that we trust (adapters.etcd.ca)",
      ],
      [
        { endpoints: [strict.url], ca: strict.certificates?.ca },
        'etcd wants a client certificate that it trusts (adapters.etcd.cert and .key)',
      ],
      [
        { endpoints: [strict.url], ...stranger, ca: strict.certificates?.ca },
        'etcd wants a client certificate that it trusts (adapters.etcd.cert and .key)',
      ],
      [
        { endpoints: [plain.url.replace('http', 'https')], ca },
        // As it happens: etcd may close the connection before TLS has made out what it was answered.
        /speaks none on this port \(http:\/\/\)|speaks no TLS: http:\/\//,
      ],
      [
        { endpoints: [secure.url.replace('https', 'http')] },
        'the connection was closed (perhaps it is no etcd, or expects TLS: https://)',
      ],
    ]
    const reasons = await Promise.all(cases.map(async ([options]) => (await open(options)).down()))
    for (const [index, [, reason]] of cases.entries()) expect(reasons[index]).toMatch(reason)
  })

  it('that is not there, or hangs, says so', async () => {
    const { port } = await server()
    const relay = await startTcpRelay(port)
    atEnd(() => relay.close())
    const url = `http://127.0.0.1:${relay.port}`
    const host = await open({ endpoints: [url] })
    await host.up()
    relay.stall()
    expect(await host.down()).toMatch(/^etcd does not answer/)
    const late = await open({ endpoints: [url] })
    expect(await late.down()).toBe('etcd does not answer')
    const nobody = await open({ endpoints: [`http://127.0.0.1:${await freePort()}`] })
    expect(await nobody.down()).toBe('connection refused')
  })

  it('that is full says so', async () => {
    const full = await server({ args: ['--quota-backend-bytes', '100000'] })
    const host = await open({ endpoints: [full.url] })
    const joins = new Seen()
    await host.adapter.watch(topic, 'join', joins.add, never)
    await full.ctl('put', 'filler', 'x'.repeat(90_000)).catch(() => undefined)
    await full.ctl('put', 'filler', 'y'.repeat(90_000)).catch(() => undefined)
    const published = host.adapter.publish(recordOf(), never)
    await expect(published).rejects.toMatchObject({ code: 'etcd-full' })
    expect(await host.down()).toBe(
      'etcd is full (alarm NOSPACE): compact it, defragment it, then run etcdctl alarm disarm',
    )
  })

  it('finds wrong options when it is opened', async () => {
    const secure = await server({ tls: true })
    const { ca = '', cert = '', key = '' } = secure.certificates ?? {}
    const endpoints = [secure.url]
    for (const options of [
      { ca: key },
      { ca: `${ca}.missing` },
      { ca, cert },
      { ca, key },
      { ca, cert, key: ca },
      { ca, cert, key: secure.clientCertificate('alice').key },
      { ca, password: 'x' },
      { ca, username: 'x' },
    ]) {
      await expect(open({ endpoints, ...options })).rejects.toThrow(UsageError)
    }
  })
})
