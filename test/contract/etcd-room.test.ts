/** Rooms that meet by etcd, whole: their addresses are etcd's. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createRoom, joinRoom } from '../../src/index.js'
import { etcdMissing } from '../servers/etcd.js'
import { atEnd, server } from './etcd-bench.js'

it.skipIf(etcdMissing !== undefined)(
  'two rooms on one etcd give out addresses by it, and their members talk',
  async () => {
    const etcd = await server()
    const folder = mkdtempSync(join(tmpdir(), 'gonet-etcd-room-'))
    atEnd(() => {
      rmSync(folder, { recursive: true, force: true })
      return Promise.resolve()
    })
    const adapters = { etcd: { endpoints: [etcd.url], readable: true } }
    const common = { signal: ['etcd'], adapters, network: { subnet: '10.7.0.0/16' } }
    const host = await createRoom({ ...common, name: 'alice', state: join(folder, 'alice') })
    const stranger = await createRoom({ ...common, name: 'sam', state: join(folder, 'sam') })
    const names = ['bob', 'carol', 'dave']
    const guests = await Promise.all(
      names.map((name) => joinRoom(host.id, { ...common, name, state: join(folder, name) })),
    )
    const apart = await joinRoom(stranger.id, { ...common, name: 'eve', state: join(folder, 'eve') })
    const addresses = host.members.slice(1).map(({ address }) => address)
    expect([...addresses].sort()).toEqual(['10.7.0.2', '10.7.0.3', '10.7.0.4'])
    expect(apart.members.find(({ name }) => name === 'eve')?.address).toBe('10.7.0.2')
    const listed = await etcd.ctl('get', '--prefix', 'gonet/1/')
    for (const { name, address, key } of host.members.slice(1)) {
      expect(listed).toMatch(new RegExp(`/address/${address}\n.*"name":"${name}"`))
      expect(key).not.toBe('')
    }
    const { messages } = host
    guests[0]?.send('hello')
    for await (const { from, text } of messages) {
      expect([from, text]).toEqual(['bob', 'hello'])
      break
    }
    await Promise.all([...guests, apart].map((guest) => guest.leave()))
    await Promise.all([host.leave(), stranger.leave()])
  },
  60_000,
)
