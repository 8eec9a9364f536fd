/** Others who may write the same keys: they erase, replace and flood, and honest members still meet. */
import { describe, expect, it } from 'vitest'
import { Client } from '../../src/adapters/etcd/client.js'
import { systemClock } from '../../src/node/clock.js'
import { etcdMissing } from '../servers/etcd.js'
import { atEnd, never, open, recordOf, Seen, server, topic } from './etcd-bench.js'

class Neighbour {
  readonly #client: Client

  constructor(port: number) {
    const endpoint = { label: `127.0.0.1:${port}`, tls: false, login: undefined, certificates: {} }
    this.#client = new Client(endpoint, systemClock)
    atEnd(() => {
      this.#client.close()
      return Promise.resolve()
    })
  }

  async put(key: string, value: Uint8Array): Promise<void> {
    await this.#ask('KV', 'put', { key: Buffer.from(key), value: Buffer.from(value) })
  }

  async erase(prefix: string): Promise<void> {
    await this.#ask('KV', 'deleteRange', { key: Buffer.from(prefix), range_end: Buffer.from('h') })
  }

  async get(key: string): Promise<{ value: Buffer; lease: string } | undefined> {
    const reply = await this.#ask('KV', 'range', { key: Buffer.from(key) })
    return (reply as { kvs: { value: Buffer; lease: string }[] }).kvs[0]
  }

  async revoke(lease: string): Promise<void> {
    await this.#ask('Lease', 'leaseRevoke', { ID: lease })
  }

  async compact(): Promise<void> {
    const { header } = (await this.#ask('KV', 'range', { key: Buffer.from('x') })) as {
      header: { revision: string }
    }
    await this.#ask('KV', 'compact', { revision: header.revision })
  }

  #ask(service: 'KV' | 'Lease', method: string, request: object): Promise<unknown> {
    return this.#client.call({ service, method, request, token: undefined }, 10_000)
  }
}

const beacon = `gonet/1/${topic}/host/epoch`

describe.skipIf(etcdMissing !== undefined)('hostile neighbours', () => {
  it('erase and replace the beacon, and it comes back', async () => {
    const { port, url } = await server()
    const host = await open({ endpoints: [url] })
    await host.adapter.publish(recordOf(), never)
    const neighbour = new Neighbour(port)
    for (const harm of [
      () => neighbour.erase('gonet/'),
      () => neighbour.put(beacon, Buffer.from('forged')),
      async () => neighbour.revoke((await neighbour.get(beacon))?.lease ?? ''),
    ]) {
      await harm()
      const watcher = new Seen()
      await (await open({ endpoints: [url] })).adapter.watch(topic, 'host', watcher.add, never)
      const isBack = (): boolean =>
        watcher.records.some(({ bytes }) => Buffer.from(bytes).toString() === 'beacon')
      await expect.poll(isBack, { timeout: 8_000 }).toBe(true)
    }
  }, 30_000)

  it('fill the box with records of every kind, and honest ones are still seen', async () => {
    const { port, url } = await server()
    const neighbour = new Neighbour(port)
    const guest = await open({ endpoints: [url] })
    await guest.adapter.publish(recordOf({ box: 'join', sender: 'early' }), never)
    const flood: Promise<void>[] = []
    for (let at = 0; at < 1000; at += 1) {
      flood.push(neighbour.put(`gonet/1/${topic}/join/hostile${at}`, Buffer.alloc(8192, at)))
    }
    for (const [at, size] of [1_400_000, 1_400_000, 1_400_000, 1_400_000].entries()) {
      flood.push(neighbour.put(`gonet/1/${topic}/join/huge${at}`, Buffer.alloc(size)))
    }
    for (const name of ['', 'UPPER', 'a/b', 'x'.repeat(65), '\u0000', 'ü', 'z'.repeat(1_000_000)]) {
      flood.push(neighbour.put(`gonet/1/${topic}/join/${name}`, Buffer.from('strange')))
    }
    await Promise.all(flood)
    const host = await open({ endpoints: [url] })
    const joins = new Seen()
    await host.adapter.watch(topic, 'join', joins.add, never)
    await joins.shows('early')
    await neighbour.put(`gonet/1/${topic}/join/huge9`, Buffer.alloc(1_400_000))
    await guest.adapter.publish(recordOf({ box: 'join', sender: 'late' }), never)
    await joins.shows('late')
    expect(host.states).toEqual([{ state: 'up' }])
    for (const { sender, bytes } of joins.records) {
      expect(sender).toMatch(/^(early|late|hostile\d+)$/)
      expect(bytes.length).toBeLessThanOrEqual(8192)
    }
    expect(new Set(joins.records.map(({ sender }) => sender)).size).toBe(1002)
  }, 60_000)

  it('compact the history, and nothing is lost after an outage', async () => {
    const started = await server()
    const { port, url } = started
    const [host, guest] = [await open({ endpoints: [url] }), await open({ endpoints: [url] })]
    const joins = new Seen()
    await host.adapter.watch(topic, 'join', joins.add, never)
    await started.stop()
    const published = guest.adapter.publish(recordOf({ box: 'join', sender: 'meanwhile' }), never)
    await started.start()
    await published
    await new Neighbour(port).compact()
    await joins.shows('meanwhile')
    await guest.adapter.publish(recordOf({ box: 'join', sender: 'after' }), never)
    await joins.shows('after')
  }, 30_000)
})
