/** Debian's etcd on free ports of 127.0.0.1, with files of its own in a temporary folder. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Certificates, makeCertificates, makeClientCertificate } from './certificates.js'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

export interface EtcdServerOptions {
  /** Anonymous clients are let in only without it. The first is not `root`, who is made beside them. */
  readonly users?: readonly EtcdUser[]
  readonly tls?: boolean
  /** More of its arguments. */
  readonly args?: readonly string[]
}

export interface EtcdUser {
  readonly username: string
  readonly password: string
  /** What it may do with keys of a prefix: `readwrite gonet/`. */
  readonly access: readonly string[]
}

export interface Etcd extends TestServer {
  /** Of a server with TLS. */
  readonly certificates: Certificates | undefined
  readonly url: string
  clientCertificate(name: string): Certificates
  /** Runs etcdctl on it, as root where there are users; resolves with what it prints. */
  ctl(...args: string[]): Promise<string>
}

export interface EtcdMember extends Etcd {
  readonly isRunning: boolean
}

export interface EtcdCluster {
  readonly members: readonly EtcdMember[]
  readonly urls: readonly string[]
  /** The member that leads now. */
  leader(): Promise<EtcdMember>
  close(): Promise<void>
}

const programs = ['etcd', 'etcdctl'].map((name) =>
  ['/usr/bin', '/usr/local/bin'].map((folder) => join(folder, name)).find((path) => existsSync(path)),
)
const [program, control] = programs
const RootPassword = 'root of the test'
const ReadyMs = 30_000

/** Why etcd cannot be started here, or undefined where it can. */
export const etcdMissing: string | undefined = programs.includes(undefined)
  ? 'etcd is not installed (apt-get install etcd-server etcd-client)'
  : undefined

export async function startEtcd(options: EtcdServerOptions = {}): Promise<Etcd> {
  const [clientPort, peerPort] = [await freePort(), await freePort()]
  const member = new Member('node', clientPort, peerPort, `node=http://127.0.0.1:${peerPort}`, options)
  try {
    await member.start()
    for (const user of options.users ?? []) await member.addUser(user)
    if (options.users !== undefined) await member.enableLogin()
  } catch (error) {
    await member.close()
    throw error
  }
  return member
}

/** Three members. */
export async function startEtcdCluster(): Promise<EtcdCluster> {
  const names = ['one', 'two', 'three']
  const ports = await Promise.all(names.map(async () => [await freePort(), await freePort()] as const))
  const cluster = names.map((name, at) => `${name}=http://127.0.0.1:${ports[at]?.[1] ?? 0}`).join(',')
  const members = names.map((name, at) => {
    const [clientPort, peerPort] = ports[at] ?? [0, 0]
    return new Member(name, clientPort, peerPort, cluster, {})
  })
  const close = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.close()))
  }
  try {
    await Promise.all(members.map((member) => member.start()))
  } catch (error) {
    await close()
    throw error
  }
  return {
    members,
    urls: members.map(({ url }) => url),
    leader: async () => {
      for (const member of members) {
        if (member.isRunning && (await member.isLeader())) return member
      }
      throw new Error('no member leads')
    },
    close,
  }
}

class Member implements EtcdMember {
  readonly port: number
  readonly certificates: Certificates | undefined
  readonly #folder = mkdtempSync(join(tmpdir(), 'gonet-etcd-'))
  readonly #name: string
  readonly #peer: string
  readonly #cluster: string
  readonly #options: EtcdServerOptions
  #hasLogin = false
  #child: ChildProcess | undefined

  constructor(name: string, port: number, peerPort: number, cluster: string, options: EtcdServerOptions) {
    this.#name = name
    this.port = port
    this.#peer = `http://127.0.0.1:${peerPort}`
    this.#cluster = cluster
    this.#options = options
    this.certificates = options.tls === true ? makeCertificates(this.#folder) : undefined
  }

  get url(): string {
    return `${this.#options.tls === true ? 'https' : 'http'}://127.0.0.1:${this.port}`
  }

  get #wantsCertificates(): boolean {
    return this.#options.args?.includes('--client-cert-auth') === true
  }

  get isRunning(): boolean {
    return this.#child !== undefined
  }

  clientCertificate(name: string): Certificates {
    return makeClientCertificate(this.#folder, name)
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    // A server that is killed says goodbye to nobody.
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async start(): Promise<void> {
    const deadline = Date.now() + ReadyMs
    // While it was down, somebody's outgoing connection may have been given its port for a moment.
    while (!(await this.#startOnce(deadline))) await new Promise((resolve) => setTimeout(resolve, 200))
  }

  /** Whether it runs; false where a port is taken. */
  async #startOnce(deadline: number): Promise<boolean> {
    await this.stop()
    const child = spawn(program ?? 'etcd', this.#args(), { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    let said = ''
    child.stderr.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-2000)
    })
    // A test run that is ended in the middle takes its servers with it.
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    child.once('exit', () => process.off('exit', kill))
    while (!(await this.#isHealthy())) {
      if (child.exitCode !== null && said.includes('address already in use') && Date.now() < deadline)
        return false
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`etcd did not start: ${said}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return true
  }

  async close(): Promise<void> {
    await this.stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async ctl(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(control ?? 'etcdctl', [...this.#controlArgs(), ...args], {
      env: { ETCDCTL_API: '3' },
      timeout: 20_000,
    })
    return stdout
  }

  async isLeader(): Promise<boolean> {
    const [status] = JSON.parse(await this.ctl('endpoint', 'status', '-w', 'json')) as {
      Status: { header: { member_id: number }; leader: number }
    }[]
    return status !== undefined && status.Status.header.member_id === status.Status.leader
  }

  async addUser({ username, password, access }: EtcdUser): Promise<void> {
    await this.ctl('user', 'add', `${username}:${password}`)
    await this.ctl('role', 'add', username)
    for (const rule of access) {
      const [kind = '', prefix = ''] = rule.split(' ')
      await this.ctl('role', 'grant-permission', username, '--prefix=true', kind, prefix)
    }
    await this.ctl('user', 'grant-role', username, username)
  }

  async enableLogin(): Promise<void> {
    await this.ctl('user', 'add', `root:${RootPassword}`)
    await this.ctl('user', 'grant-role', 'root', 'root')
    await this.ctl('auth', 'enable')
    this.#hasLogin = true
  }

  async #isHealthy(): Promise<boolean> {
    const curl = ['-s', '-m', '2', ...(this.certificates ? ['--cacert', this.certificates.ca] : [])]
    if (this.#wantsCertificates) {
      const { cert, key } = this.clientCertificate('probe')
      curl.push('--cert', cert, '--key', key)
    }
    const env = { ...process.env, no_proxy: '*' }
    try {
      const { stdout } = await promisify(execFile)('curl', [...curl, `${this.url}/health`], { env })
      // Where it is full it says so, and runs all the same.
      return stdout.includes('"health"') && (stdout.includes('true') || stdout.includes('NOSPACE'))
    } catch {
      return false
    }
  }

  #controlArgs(): string[] {
    const args = ['--endpoints', this.url]
    if (this.certificates !== undefined) {
      args.push('--cacert', this.certificates.ca)
      if (this.#wantsCertificates) {
        const { cert, key } = this.clientCertificate('control')
        args.push('--cert', cert, '--key', key)
      }
    }
    if (this.#hasLogin) args.push('--user', `root:${RootPassword}`)
    return args
  }

  #args(): string[] {
    const { certificates } = this
    const args = ['--name', this.#name, '--data-dir', join(this.#folder, 'data')]
    args.push('--listen-client-urls', this.url, '--advertise-client-urls', this.url)
    args.push('--listen-peer-urls', this.#peer, '--initial-advertise-peer-urls', this.#peer)
    args.push('--initial-cluster', this.#cluster, '--initial-cluster-token', 'gonet-test')
    args.push('--logger', 'zap', '--log-level', 'error')
    if (certificates !== undefined) {
      args.push('--cert-file', certificates.cert, '--key-file', certificates.key)
      // With it, it wants certificates of its clients.
      if (this.#wantsCertificates) args.push('--trusted-ca-file', certificates.ca)
    }
    return [...args, ...(this.#options.args ?? [])]
  }
}
