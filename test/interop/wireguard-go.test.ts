/**
 * Against wireguard-go, each side in a network namespace of its own, pinged both ways through the userspace
 * stack.
 */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import type { RunnerCommand, RunnerOptions, RunnerReport } from './wireguard-runner.js'

const Ours = { address: '10.201.0.1', port: 51820 }
const Theirs = { address: '10.201.0.2', port: 51821 }
const KeepaliveLength = 32
const OurInner = ['10.202.0.1', 'fd00:202::1'] as const
const TheirInner = ['10.202.0.2', 'fd00:202::2'] as const

const missing = missingForLab('wireguard-go', 'wg', 'ping')
let folder: string
let bundle: string
let lab: Lab | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gonet-wireguard-'))
  process.once('exit', removeFolder)
  bundle = join(folder, 'runner.mjs')
  await build({
    entryPoints: [join(import.meta.dirname, 'wireguard-runner.ts')],
    outfile: bundle,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
    // ipaddr.js is CommonJS.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
})

afterAll(removeFolder)

beforeEach((context) => {
  if (missing.length === 0) return
  const reason = `needs ${missing.join(', ')}`
  if (process.env['CI'] === 'true') throw new Error(reason)
  context.skip(reason)
})

afterEach(async () => {
  await lab?.close()
  lab = undefined
})

describe.each([
  ['without a preshared key', undefined],
  ['with a preshared key', randomBytes(32).toString('base64')],
])('wireguard-go %s', (_, presharedKey) => {
  it('answers our handshake', async () => {
    const { runner, namespace } = await start({ presharedKey, theyKnowUs: false })
    expect(await runner.ping(TheirInner[0])).toBe(true)
    expect(await runner.ping(TheirInner[1])).toBe(true)
    expect(runner.sessions).toBe(1)
    await expectAnswers(namespace, OurInner[0])
    await expectAnswers(namespace, OurInner[1])
    expect(runner.sessions).toBe(1)
  })

  it('gets our answer to its handshake', async () => {
    const { runner, namespace } = await start({ presharedKey, theyKnowUs: true })
    await expectAnswers(namespace, OurInner[0])
    await expectAnswers(namespace, OurInner[1])
    expect(await runner.ping(TheirInner[0])).toBe(true)
    expect(await runner.ping(TheirInner[1])).toBe(true)
    expect(runner.sessions).toBe(1)
  })
})

it('wireguard-go with another preshared key gets no session', async () => {
  const { runner, namespace } = await start({
    presharedKey: randomBytes(32).toString('base64'),
    theirPresharedKey: randomBytes(32).toString('base64'),
    theyKnowUs: true,
  })
  await expect(namespace.run('ping', '-c', '1', '-W', '1', OurInner[0])).rejects.toThrow()
  expect(runner.sessions).toBe(0)
})

it('wireguard-go goes along with our rekey, losing nothing', async () => {
  const { runner, namespace } = await start({
    presharedKey: undefined,
    theyKnowUs: false,
    rekeyAfterMessages: 10,
  })
  expect(await runner.ping(TheirInner[0])).toBe(true)
  // Sessions are renewed no more often than every 5 s (RekeyTimeout).
  await expectAnswers(namespace, OurInner[0], { count: 32, intervalSeconds: 0.2 })
  expect(runner.sessions).toBe(2)
  expect(await runner.ping(TheirInner[0])).toBe(true)
})

it('wireguard-go may initiate anew in the middle of a session', async () => {
  const { runner, namespace, configurePeer, removePeer } = await start({
    presharedKey: undefined,
    theyKnowUs: false,
  })
  expect(await runner.ping(TheirInner[0])).toBe(true)
  await removePeer()
  await configurePeer(true)
  await expectAnswers(namespace, OurInner[0])
  expect(runner.sessions).toBe(2)
  expect(await runner.ping(TheirInner[0])).toBe(true)
})

it('wireguard-go is followed to another port in the middle of a session', async () => {
  const { runner, namespace, wg } = await start({ presharedKey: undefined, theyKnowUs: false })
  expect(await runner.ping(TheirInner[0])).toBe(true)
  await wg('listen-port', `${Theirs.port + 1}`)
  await expectAnswers(namespace, OurInner[0])
  expect(await runner.ping(TheirInner[0])).toBe(true)
  await wg('listen-port', `${Theirs.port + 2}`)
  await expectAnswers(namespace, OurInner[1])
  expect(await runner.ping(TheirInner[1])).toBe(true)
  expect(runner.sessions).toBe(1)
})

it('wireguard-go hears of us first, and every second, by persistent keepalives', async () => {
  const { namespace, runner, device } = await start({
    presharedKey: undefined,
    theyKnowUs: false,
    persistentKeepaliveMs: 1000,
  })
  const received = async (): Promise<number> =>
    Number((await namespace.run('wg', 'show', device, 'transfer')).split('\t')[1])
  while (runner.sessions === 0) await delay(20)
  await expectAnswers(namespace, OurInner[0])
  const before = await received()
  await delay(4500)
  const keepalives = ((await received()) - before) / KeepaliveLength
  expect(keepalives).toBeGreaterThanOrEqual(3)
  expect(keepalives).toBeLessThanOrEqual(5)
})

it('wireguard-go sends us persistent keepalives, and we answer none', async () => {
  const { runner, wg, publicKey } = await start({ presharedKey: undefined, theyKnowUs: true })
  await wg('peer', publicKey, 'persistent-keepalive', '1')
  while (runner.sessions === 0) await delay(20)
  runner.received.length = 0
  await delay(4500)
  expect(runner.received.length).toBeGreaterThanOrEqual(3)
  expect(new Set(runner.received)).toEqual(new Set([4]))
  expect(runner.sessions).toBe(1)
})

it('wireguard-go takes the cookie of our device under load, and comes back with it', async () => {
  const { runner, namespace } = await start({ presharedKey: undefined, theyKnowUs: true, underLoad: true })
  // The first initiation is in vain, the second one comes after RekeyTimeout.
  await expectAnswers(namespace, OurInner[0], { count: 1, waitSeconds: 8 })
  expect(runner.received.filter((type) => type === 1)).toHaveLength(2)
  expect(runner.sessions).toBe(1)
  expect(await runner.ping(TheirInner[0])).toBe(true)
})

it('wireguard-go under load gives us a cookie, and takes our mac2', async () => {
  const { runner } = await start({ presharedKey: undefined, theyKnowUs: false })
  runner.flood()
  while (runner.cookiesForFlood === 0) await delay(20)
  await runner.ping(TheirInner[0])
  while (runner.sessions === 0) await delay(20)
  const handshakes = runner.received.filter((type) => type === 2 || type === 3)
  expect(handshakes).toEqual([3, 2])
  // Others were still asked for theirs.
  const before = runner.cookiesForFlood
  await delay(200)
  expect(runner.cookiesForFlood).toBeGreaterThan(before)
  // The flood fills queues too: one echo in several has to come through.
  let answers = 0
  for (let tries = 0; tries < 5 && answers === 0; tries += 1) {
    if (await runner.ping(TheirInner[0])) answers += 1
  }
  expect(answers).toBe(1)
}, 60_000)

interface Started {
  readonly runner: Runner
  /** wireguard-go's. */
  readonly namespace: Namespace
  readonly device: string
  /** Ours. */
  readonly publicKey: string
  /** Sets something of wireguard-go. */
  readonly wg: (...parameters: readonly string[]) => Promise<void>
  readonly configurePeer: (theyKnowUs: boolean) => Promise<void>
  readonly removePeer: () => Promise<void>
}

async function start(options: {
  readonly presharedKey: string | undefined
  readonly theirPresharedKey?: string
  /** Whether wireguard-go has our endpoint from the start, and so can initiate. */
  readonly theyKnowUs: boolean
  readonly rekeyAfterMessages?: number
  readonly persistentKeepaliveMs?: number
  readonly underLoad?: boolean
}): Promise<Started> {
  lab = new Lab()
  const [ours, theirs] = [await lab.namespace('ours'), await lab.namespace('theirs')]
  await lab.link('veth', [ours, `${Ours.address}/24`], [theirs, `${Theirs.address}/24`])
  const [us, them] = [generateKeyPair(), generateKeyPair()]

  // wireguard-go's control sockets are named by interface, across namespaces.
  const device = `wg${process.pid}`
  await startWireGuardGo(theirs, device)
  const keyFile = await secretFile('key', them.secretKey)
  await theirs.run('wg', 'set', device, 'private-key', keyFile, 'listen-port', `${Theirs.port}`)
  const theirPresharedKey = options.theirPresharedKey ?? options.presharedKey
  const presharedKeyFile = theirPresharedKey && (await secretFile('psk', theirPresharedKey))
  const configurePeer = async (theyKnowUs: boolean): Promise<void> => {
    const peer = ['peer', us.publicKey, 'allowed-ips', `${OurInner[0]}/32,${OurInner[1]}/128`]
    if (presharedKeyFile) peer.push('preshared-key', presharedKeyFile)
    if (theyKnowUs) peer.push('endpoint', `${Ours.address}:${Ours.port}`)
    await theirs.run('wg', 'set', device, ...peer)
  }
  await configurePeer(options.theyKnowUs)
  await theirs.run('ip', 'address', 'add', `${TheirInner[0]}/24`, 'dev', device)
  await theirs.run('ip', 'address', 'add', `${TheirInner[1]}/64`, 'dev', device, 'nodad')
  await theirs.run('ip', 'link', 'set', device, 'mtu', '1420', 'up')

  const runner = await Runner.start(ours, {
    secretKey: us.secretKey,
    peerPublicKey: them.publicKey,
    listen: Ours,
    endpoint: Theirs,
    addresses: OurInner,
    allowedAddresses: [`${TheirInner[0]}/32`, `${TheirInner[1]}/128`],
    ...(options.presharedKey !== undefined && { presharedKey: options.presharedKey }),
    ...(options.rekeyAfterMessages !== undefined && { rekeyAfterMessages: options.rekeyAfterMessages }),
    ...(options.persistentKeepaliveMs !== undefined && {
      persistentKeepaliveMs: options.persistentKeepaliveMs,
    }),
    ...(options.underLoad !== undefined && { underLoad: options.underLoad }),
  })
  const wg = async (...parameters: readonly string[]): Promise<void> => {
    await theirs.run('wg', 'set', device, ...parameters)
  }
  return {
    runner,
    namespace: theirs,
    device,
    publicKey: us.publicKey,
    wg,
    configurePeer,
    removePeer: () => wg('peer', us.publicKey, 'remove'),
  }
}

async function startWireGuardGo(namespace: Namespace, device: string): Promise<void> {
  const env = { ...process.env, LOG_LEVEL: 'error', WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD: '1' }
  const child = namespace.spawn('wireguard-go', ['-f', device], { env, stdio: 'ignore' })
  for (;;) {
    try {
      await namespace.run('wg', 'show', device)
      return
    } catch (error) {
      if (child.exitCode !== null || child.signalCode !== null) throw error
      await delay(20)
    }
  }
}

async function expectAnswers(
  namespace: Namespace,
  address: string,
  { count = 3, intervalSeconds = 0.05, waitSeconds = 2 } = {},
): Promise<void> {
  const output = await namespace.run(
    'ping',
    '-c',
    `${count}`,
    '-i',
    `${intervalSeconds}`,
    '-W',
    `${waitSeconds}`,
    address,
  )
  expect(output).toContain(`${count} packets transmitted, ${count} received`)
}

/** The process with our device and stack. */
class Runner {
  sessions = 0
  cookiesForFlood = 0
  /** The types of the messages that came, but for what answers the flood. */
  readonly received: number[] = []
  readonly #child: ChildProcess
  readonly #waiting = new Map<string, (answered: boolean) => void>()

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(namespace: Namespace, options: RunnerOptions): Promise<Runner> {
    const child = namespace.spawn(process.execPath, [bundle, JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const runner = new Runner(child)
    await new Promise<void>((resolve, reject) => {
      child.once('exit', () => reject(new Error('the runner ended')))
      child.on('message', (message) => runner.#handleReport(message as RunnerReport, resolve))
    })
    return runner
  }

  /** Whether the other side answered, within the stack's 5 s. */
  ping(address: string): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.set(address, resolve)
      this.#child.send({ ping: address } satisfies RunnerCommand)
    })
  }

  flood(): void {
    this.#child.send({ flood: true } satisfies RunnerCommand)
  }

  #handleReport(report: RunnerReport, ready: () => void): void {
    if (report.type === 'ready') ready()
    else if (report.type === 'session') this.sessions++
    else if (report.type === 'received' && report.flood) this.cookiesForFlood++
    else if (report.type === 'received') this.received.push(report.message)
    else this.#waiting.get(report.address)?.(report.answered)
  }
}

/** In base64. */
function generateKeyPair(): { readonly secretKey: string; readonly publicKey: string } {
  const secretKey = randomBytes(32)
  const { publicKey } = nodeNoiseCrypto.privateKey(secretKey)
  return { secretKey: secretKey.toString('base64'), publicKey: Buffer.from(publicKey).toString('base64') }
}

async function secretFile(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content, { mode: 0o600 })
  return path
}

function removeFolder(): void {
  rmSync(folder, { recursive: true, force: true })
}
