import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { startEtcd } from '../../src/cli/commands/serve-etcd.js'
import { UsageError } from '../../src/core/errors.js'
import type { RunningServer } from '../../src/node/running-server.js'
import { serveEtcd } from '../../src/node/serve-etcd.js'
import { never, open, recordOf, Seen, topic } from '../contract/etcd-bench.js'
import { etcdMissing } from '../servers/etcd.js'

const local = { address: '127.0.0.1', port: 0 }
const folders: string[] = []
const running: RunningServer[] = []

const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'gonet-serve-etcd-'))
  folders.push(made)
  return made
}
const start = async (state: string): Promise<RunningServer> => {
  const server = await startEtcd(local, { state })
  running.push(server)
  return server
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()))
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true })
})

describe.skipIf(etcdMissing !== undefined)('gonet serve etcd', () => {
  it('serves what an adapter needs, and ends when it is told', async () => {
    const state = folder()
    const server = await start(state)
    const url = server.details['url'] ?? ''
    expect(server.peerOptions).toEqual([`--signal etcd --set adapters.etcd.endpoints=${url}`])
    expect(server.what).toContain(join(state, 'etcd'))
    expect(statSync(join(state, 'etcd')).mode & 0o777).toBe(0o700)
    const [host, guest] = [await open({ endpoints: [url] }), await open({ endpoints: [url] })]
    const beacons = new Seen()
    await guest.adapter.watch(topic, 'host', beacons.add, never)
    await host.adapter.publish(recordOf(), never)
    await beacons.shows('epoch')
    await Promise.all([server.close(), server.close()])
    expect(await host.down()).toMatch(/\w/)
    await Promise.race([server.failed, new Promise((resolve) => setImmediate(resolve))])
  })

  it('starts again with what is in its folder', async () => {
    const state = folder()
    await (await start(state)).close()
    const again = await start(state)
    await (await open({ endpoints: [again.details['url'] ?? ''] })).up()
  })

  it('fails where etcd ends by itself', async () => {
    const program = join(folder(), 'etcd')
    writeFileSync(program, '#!/bin/sh\necho "no such luck" >&2\nexit 3\n', { mode: 0o755 })
    const server = serveEtcd({
      listen: local,
      advertise: (listening) => listening,
      dataFolder: folder(),
      environment: { PATH: `${join(program, '..')}:/bin` },
    })
    await expect(server).rejects.toMatchObject({
      code: 'etcd-failed',
      message: 'etcd has ended: no such luck',
    })
  })

  it('says so where the port is taken', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', resolve)
    })
    const address = taken.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    const server = startEtcd({ address: '127.0.0.1', port }, { state: folder() })
    await expect(server).rejects.toMatchObject({ code: 'listen-failed' })
    taken.close()
  })
})

it('gonet serve etcd says how to install it where there is none', async () => {
  const server = serveEtcd({
    listen: local,
    advertise: (listening) => listening,
    dataFolder: folder(),
    environment: { PATH: `relative::${folder()}` },
  })
  await expect(server).rejects.toThrow(UsageError)
  await expect(server).rejects.toMatchObject({
    code: 'etcd-missing',
    advice: expect.stringContaining('apt-get install etcd-server') as string,
  })
})
