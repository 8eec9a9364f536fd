/** Debian's mosquitto on a free port of 127.0.0.1, with files of its own in a temporary folder. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Certificates, makeCertificates, makeClientCertificate } from './certificates.js'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

export interface MosquittoOptions {
  /** Anonymous clients are let in only without it. */
  readonly users?: readonly MosquittoUser[]
  readonly tls?: boolean
  /** MQTT in WebSockets only. */
  readonly webSockets?: boolean
  /** More lines of its configuration. */
  readonly lines?: readonly string[]
}

export interface MosquittoUser {
  readonly username: string
  readonly password: string
  /** Lines of the access control list, such as `topic readwrite gonet/#`. */
  readonly access: readonly string[]
}

export interface Mosquitto extends TestServer {
  /** For a broker with TLS. */
  readonly certificates: Certificates | undefined
  /** Makes a certificate that a broker with `require_certificate true` trusts, unless `days` are over. */
  clientCertificate(name: string, days?: number): Certificates
}

const program = ['/usr/sbin/mosquitto', '/usr/bin/mosquitto', '/usr/local/sbin/mosquitto'].find((path) =>
  existsSync(path),
)

/** Why mosquitto cannot be started here, or undefined where it can. */
export const mosquittoMissing: string | undefined =
  program === undefined ? 'mosquitto is not installed (apt-get install mosquitto)' : undefined

export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-mosquitto-'))
  const port = await freePort()
  const certificates = options.tls === true ? makeCertificates(folder) : undefined
  const config = join(folder, 'mosquitto.conf')
  writeFileSync(config, configuration(folder, port, options, certificates))
  let child: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (child === undefined) return
    const ended = child
    child = undefined
    if (ended.exitCode !== null || ended.signalCode !== null) return
    // A broker that is killed says goodbye to nobody.
    ended.kill('SIGKILL')
    await once(ended, 'exit')
  }
  const start = async (): Promise<void> => {
    await stop()
    child = await run(config)
  }
  try {
    await start()
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
  return {
    port,
    certificates,
    clientCertificate: (name, days) => makeClientCertificate(folder, name, days),
    stop,
    start,
    close: async () => {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function configuration(
  folder: string,
  port: number,
  { users, webSockets, lines: more = [] }: MosquittoOptions,
  certificates: Certificates | undefined,
): string {
  const lines = [
    // mosquitto 2.0.11 ends at once where all its listeners are for WebSockets.
    ...(webSockets === true ? [`listener 0 ${join(folder, 'mosquitto.socket')}`] : []),
    `listener ${port} 127.0.0.1`,
    `protocol ${webSockets === true ? 'websockets' : 'mqtt'}`,
    'persistence false',
    'set_tcp_nodelay true',
    'log_dest stderr',
    'log_type all',
    ...more,
    `allow_anonymous ${users === undefined ? 'true' : 'false'}`,
  ]
  // Else it becomes the user mosquitto, who may not read our files.
  if (process.getuid?.() === 0) lines.push('user root')
  if (users !== undefined) {
    const passwords = join(folder, 'passwords')
    const access = join(folder, 'access')
    writeFileSync(passwords, '', { mode: 0o600 })
    for (const { username, password } of users) {
      execFileSync('mosquitto_passwd', ['-b', passwords, username, password], { stdio: 'ignore' })
    }
    const lists = users.map((user) => [`user ${user.username}`, ...user.access, ''].join('\n'))
    writeFileSync(access, lists.join('\n'), { mode: 0o600 })
    lines.push(`password_file ${passwords}`, `acl_file ${access}`)
  }
  if (certificates !== undefined) {
    const { ca, cert, key } = certificates
    lines.push(`cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`)
  }
  return `${lines.join('\n')}\n`
}

/** Resolves when it accepts connections. */
async function run(config: string): Promise<ChildProcess> {
  const child = spawn(program ?? 'mosquitto', ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const said: string[] = []
  const lines = createInterface({ input: child.stderr })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      said.push(line)
      if (/ running$/.test(line)) resolve()
    })
    child.once('error', reject)
    child.once('exit', () => {
      reject(new Error(`mosquitto did not start: ${said.join(' | ')}`))
    })
  })
  lines.removeAllListeners('line')
  // A test run that is ended in the middle takes its brokers with it.
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  child.stderr.resume()
  return child
}
