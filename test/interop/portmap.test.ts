/** Against miniupnpd as a NAT router in a namespace, with this machine within and another outside. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { Miniupnpd, type MiniupnpdOptions } from '../servers/miniupnpd.js'
import type { PortmapReport } from './portmap-runner.js'

/** Not of documentation: miniupnpd refuses those. Nothing leaves the namespaces. */
const External = '11.0.0.1'
const Port = 41_641

const missing = missingForLab('nft', 'sysctl', 'miniupnpd')
let folder: string
let bundle: string
let lab: Lab
let router: Namespace
let client: Namespace
let outside: Namespace
let server: Miniupnpd | undefined

describe.skipIf(missing.length > 0)('a port mapping', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gonet-portmap-'))
    bundle = join(folder, 'runner.mjs')
    await build({
      entryPoints: [join(import.meta.dirname, 'portmap-runner.ts')],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
      },
    })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  beforeEach(async () => {
    lab = new Lab()
    ;[router, client, outside] = (await Promise.all(
      ['router', 'client', 'outside'].map((label) => lab.namespace(label)),
    )) as [Namespace, Namespace, Namespace]
    await lab.link('lan0', [router, '10.0.0.1/24'], [client, '10.0.0.2/24'])
    await lab.link('wan0', [router, `${External}/24`], [outside, '11.0.0.2/24'])
    await router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await client.run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
    await router.run('ip', 'route', 'add', 'default', 'via', '11.0.0.2')
  })
  afterEach(async () => {
    await lab.close()
    server?.close()
    server = undefined
  })

  describe.each([
    ['PCP', 'pcp', async () => serve({ pcp: true, upnp: false })],
    [
      'NAT-PMP, on a router that is silent to PCP',
      'nat-pmp',
      async () => {
        await router.run(
          'nft',
          'table inet old { chain input { type filter hook input priority 0; udp dport 5351 @th,64,8 2 drop; }; }',
        )
        await serve({ pcp: true, upnp: false })
      },
    ],
    ['UPnP', undefined, async () => serve({ pcp: false, upnp: true })],
  ])('by %s', (_, protocol, begin) => {
    it('lets a datagram in from outside, and is gone after close', async () => {
      await begin()
      const runner = await start()
      expect(await runner.next('mapped')).toMatchObject({ address: External, port: Port })
      const mapped = runner.logs.find((fields) => fields?.['type'] === 'mapped')
      expect(mapped?.['protocol']).toBe(protocol)
      await send('from outside')
      expect(await runner.next('received')).toMatchObject({ text: 'from outside' })
      expect(await server!.mappings()).toHaveLength(1)
      expect((await runner.close()).ms).toBeLessThan(1500)
      expect(await server!.mappings()).toEqual([])
    })

    it('survives a restart of the router that forgets it', async () => {
      await begin()
      const runner = await start('fast')
      await runner.next('mapped')
      // Both RFCs allow an epoch to be some seconds off: a younger one would not tell the restart.
      await delay(5000)
      await server!.kill()
      expect(await server!.mappings()).toEqual([])
      await server!.start()
      const until = performance.now() + 15_000
      while ((await server!.mappings()).length === 0) expect(performance.now()).toBeLessThan(until)
      await send('again')
      expect(await runner.next('received')).toMatchObject({ text: 'again' })
      await runner.close()
      expect(await server!.mappings()).toEqual([])
    }, 40_000)
  })

  it('is not told where the router is behind another NAT', async () => {
    await router.run('ip', 'address', 'flush', 'dev', 'wan0')
    await router.run('ip', 'address', 'add', '192.168.7.1/24', 'dev', 'wan0')
    await serve({ pcp: true, upnp: true })
    const runner = await start()
    const failed = await runner.nextLog((fields) => fields?.['type'] === 'failed')
    // This router knows by itself that its address is of no use.
    expect(failed).toMatchObject({ reason: 'refused', result: 'NO_RESOURCES' })
    await runner.close()
    expect(runner.reports.filter(({ type }) => type === 'mapped')).toEqual([])
    expect(await server!.mappings()).toEqual([])
  })

  it('fails quietly and in time where the router has none of these', async () => {
    const began = performance.now()
    const runner = await start()
    expect(await runner.nextLog((fields) => fields?.['reason'] === 'no-answer')).toMatchObject({
      type: 'failed',
    })
    expect(performance.now() - began).toBeLessThan(6000)
    expect((await runner.close()).ms).toBeLessThan(1500)
    expect(runner.reports.filter(({ type }) => type === 'mapped')).toEqual([])
  })

  it('does nothing where there is no router', async () => {
    await client.run('ip', 'route', 'delete', 'default')
    const runner = await start()
    expect((await runner.close()).ms).toBeLessThan(500)
    expect(runner.reports.map(({ type }) => type)).toEqual(['ready', 'closed'])
  })
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

async function serve(options: Pick<MiniupnpdOptions, 'pcp' | 'upnp'>): Promise<void> {
  server = await Miniupnpd.start({ namespace: router, ...options })
}

async function send(text: string): Promise<void> {
  const code = `const s = require('node:dgram').createSocket('udp4'); s.send(${JSON.stringify(text)}, ${Port}, '${External}', () => s.close())`
  await outside.run(process.execPath, '-e', code)
}

async function start(...args: readonly string[]): Promise<Runner> {
  const runner = new Runner(
    client.spawn(process.execPath, [bundle, ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  )
  await runner.next('ready')
  return runner
}

class Runner {
  readonly reports: PortmapReport[] = []
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()

  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (report: PortmapReport) => {
      this.reports.push(report)
      for (const look of this.#waiting) look()
    })
  }

  get logs(): (Record<string, unknown> | undefined)[] {
    return this.reports.flatMap((report) => (report.type === 'log' ? [report.fields] : []))
  }

  async next<Type extends PortmapReport['type']>(
    type: Type,
  ): Promise<Extract<PortmapReport, { type: Type }>> {
    return (await this.#find((report) => report.type === type)) as Extract<PortmapReport, { type: Type }>
  }

  async nextLog(
    matches: (fields: Record<string, unknown> | undefined) => boolean,
  ): Promise<Record<string, unknown> | undefined> {
    const found = await this.#find((report) => report.type === 'log' && matches(report.fields))
    return found.type === 'log' ? found.fields : undefined
  }

  /** Also waits for the process, which ends only where nothing is left running. */
  async close(): Promise<{ readonly ms: number }> {
    const exited = once(this.#child, 'exit')
    this.#child.send('close')
    const closed = await this.next('closed')
    await exited
    return closed
  }

  #find(matches: (report: PortmapReport) => boolean): Promise<PortmapReport> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.reports.find(matches)
        if (found === undefined) return
        this.#waiting.delete(look)
        resolve(found)
      }
      this.#waiting.add(look)
      look()
    })
  }
}
