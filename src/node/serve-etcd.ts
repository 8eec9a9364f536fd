/**
 * Runs the etcd that is found on the PATH, as one member that is its own cluster, with a data folder of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { delimiter, isAbsolute, join } from 'node:path'
import { delay } from '../adapters/waiting.js'
import { explain, GonetError, UsageError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import type { Clock } from '../core/ports.js'
import { systemClock } from './clock.js'

export interface EtcdServerOptions {
  /** Where clients connect; port 0 lets the system choose. */
  readonly listen: SocketAddress
  /** What clients are told to connect to. */
  readonly advertise: (listening: SocketAddress) => SocketAddress
  /** Made where it is missing, for this user alone. What is in it stays when etcd ends. */
  readonly dataFolder: string
  /** `PATH` counts: its relative entries do not. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock?: Clock
}

export interface EtcdServer {
  /** Where it listens, with the port that the system chose. */
  readonly address: SocketAddress
  /** Rejects when it ends by itself. */
  readonly failed: Promise<never>
  /** Ends it. Idempotent. */
  close(): Promise<void>
}

/** It recovers what is in its folder first. */
const ReadyMs = 30_000
const PollMs = 100
const AnswerMs = 1_000
/** How long it may take to end by itself before it is killed. */
const PartingMs = 3_000
/** Of what it says, which is kept for the case that it fails. */
const MaxSaid = 8_192

/**
 * Starts etcd, and resolves when it serves.
 * @throws UsageError `etcd-missing` where it is not installed, `listen-failed` where a port is taken,
 *   `data-folder-failed`; GonetError `etcd-failed` where it does not start
 */
export async function serveEtcd(options: EtcdServerOptions): Promise<EtcdServer> {
  const { listen, advertise, dataFolder, environment, clock = systemClock } = options
  const program = findProgram(environment['PATH'] ?? '')
  makeFolder(dataFolder)
  const address = { ...listen, port: await claimPort(listen) }
  // A member alone has no peers, but etcd listens for them: on loopback, where nobody else can.
  const peer = `http://${formatSocketAddress({ address: '127.0.0.1', port: await claimPort(Loopback) })}`
  const url = `http://${formatSocketAddress(address)}`
  const args = ['--name', 'gonet', '--data-dir', dataFolder]
  args.push('--listen-client-urls', url)
  args.push('--advertise-client-urls', `http://${formatSocketAddress(advertise(address))}`)
  args.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer)
  args.push('--initial-cluster', `gonet=${peer}`, '--logger', 'zap', '--log-level', 'warn')
  // Else every old version of every record would stay.
  args.push('--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '1h')
  const child = new Child(program, args, environment, clock)
  try {
    await child.ready(address)
  } catch (error) {
    await child.close()
    throw error
  }
  return { address, failed: child.failed, close: () => child.close() }
}

const Loopback: SocketAddress = { address: '127.0.0.1', port: 0 }

class Child {
  readonly failed: Promise<never>
  readonly #process: ChildProcess
  readonly #clock: Clock
  readonly #ended: Promise<void>
  #said = ''
  #isOver = false
  #isClosing = false

  constructor(program: string, args: readonly string[], environment: NodeJS.ProcessEnv, clock: Clock) {
    this.#clock = clock
    const { PATH: path, HOME: home } = environment
    // Its own variables could make it listen elsewhere, or join a cluster.
    this.#process = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: path, HOME: home },
    })
    this.#process.stderr?.on('data', (bytes: Buffer) => {
      this.#said = (this.#said + bytes.toString('utf8')).slice(-MaxSaid)
    })
    // Whoever ends without closing takes it along.
    const kill = (): void => void this.#process.kill('SIGKILL')
    process.once('exit', kill)
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#isOver = true
        process.off('exit', kill)
        resolve()
      }
      this.#process.once('exit', end)
      this.#process.once('error', (error) => {
        this.#said += explain(error)
        end()
      })
    })
    this.failed = this.#ended.then(() => {
      if (this.#isClosing) return new Promise<never>(() => undefined)
      throw new GonetError('etcd-failed', `etcd has ended: ${lastWords(this.#said)}`)
    })
    // Who does not wait for it hears of it when asking.
    this.failed.catch(() => undefined)
  }

  /** @throws GonetError `etcd-failed` where it ends first, or is not ready in time */
  async ready(address: SocketAddress): Promise<void> {
    const deadline = this.#clock.now() + ReadyMs
    while (!(await isHealthy(address))) {
      if (this.#isOver) await this.failed
      if (this.#clock.now() > deadline) {
        throw new GonetError(
          'etcd-failed',
          `etcd is not ready after ${ReadyMs / 1000} s: ${lastWords(this.#said)}`,
        )
      }
      await delay(this.#clock, PollMs, new AbortController().signal)
    }
    // Else another etcd has answered, and ours has found its port taken.
    if (this.#isOver) await this.failed
  }

  async close(): Promise<void> {
    this.#isClosing = true
    if (this.#isOver) return
    this.#process.kill('SIGTERM')
    const cancel = this.#clock.after(PartingMs, () => {
      this.#process.kill('SIGKILL')
    })
    await this.#ended
    cancel()
  }
}

function findProgram(path: string): string {
  for (const folder of path.split(delimiter)) {
    // An empty entry means the current folder, where anybody may have put one.
    if (!isAbsolute(folder)) continue
    const file = join(folder, 'etcd')
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Then the next one.
    }
  }
  throw new UsageError('etcd-missing', 'There is no etcd on the PATH', {
    advice: 'Install it: apt-get install etcd-server (Debian), or from https://etcd.io/docs/latest/install/',
  })
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new UsageError('data-folder-failed', `Cannot make the folder ${path}`, {
      advice: 'Choose another one with --data, or another state folder with --state',
      cause: error,
    })
  }
}

/** The port, or a free one where it is 0. @throws UsageError `listen-failed` where it cannot be had */
function claimPort(listen: SocketAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      reject(
        new UsageError('listen-failed', `Cannot listen on ${formatSocketAddress(listen)}`, {
          advice: 'Choose another address or port with --listen',
          cause: error,
        }),
      )
    })
    server.listen({ host: listen.address, port: listen.port, exclusive: true }, () => {
      const bound = server.address()
      server.close(() => {
        resolve(bound !== null && typeof bound === 'object' ? bound.port : listen.port)
      })
    })
  })
}

/** Whether its /health says so. */
function isHealthy({ address, port }: SocketAddress): Promise<boolean> {
  const host = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address
  return new Promise((resolve) => {
    const asked = request({ host, port, path: '/health', timeout: AnswerMs, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => {
        text = (text + part).slice(0, 1000)
      })
      response.once('close', () => {
        resolve(/"health"\s*:\s*"?true/.test(text) || text.includes('NOSPACE'))
      })
    })
    asked.once('timeout', () => asked.destroy())
    asked.once('error', () => {
      resolve(false)
    })
    asked.end()
  })
}

/** Its latest log entry, in words where it has some (JSON of zap). */
function lastWords(said: string): string {
  const line = said.trim().split('\n').at(-1) ?? ''
  const entry = /"msg":"([^"]{1,200})"(?:.*"error":"([^"]{1,300})")?/.exec(line)
  const words = entry === null ? line.slice(0, 300) : [entry[1], entry[2]].filter(Boolean).join(': ')
  return words === '' ? 'it said nothing' : words
}
