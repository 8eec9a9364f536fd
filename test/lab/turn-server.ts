/** A coturn on a lab's internet, which can be killed and started again. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { listening } from './listening.js'
import type { Namespace } from './namespace.js'

export const User = 'gonet'
export const Password = 'lab'

export interface TurnServerOptions {
  /** The first part of the names of its files. */
  readonly name: string
  /** For its files; it must be there as long as it runs. */
  readonly folder: string
  readonly addresses: readonly string[]
  /** For TLS at port 5349, and at port 443 of those addresses: names in the folder. None without. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly port443: readonly string[] }
}

export class TurnServer {
  readonly #internet: Namespace
  readonly #options: TurnServerOptions
  #process: ChildProcess | undefined

  constructor(internet: Namespace, options: TurnServerOptions) {
    this.#internet = internet
    this.#options = options
  }

  get addresses(): readonly string[] {
    return this.#options.addresses
  }

  /**
   * Resolves when it listens. It ends with the namespace.
   * @throws Error where it does not listen within 20 s
   */
  async start(): Promise<void> {
    const [address] = this.#options.addresses
    this.#process = this.#internet.spawn('turnserver', this.#parameters(), { stdio: 'ignore' })
    await Promise.all([
      listening(this.#internet, '-lnu', `${address}:3478`),
      listening(this.#internet, '-lnt', `${address}:3478`),
    ])
  }

  /** Ends it without a word to those who have allocations. Idempotent. */
  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }

  #parameters(): readonly string[] {
    const { name, folder, addresses, tls } = this.#options
    const file = (suffix: string): string => join(folder, `${name}.${suffix}`)
    return [
      ...['-n', '--no-cli', '--lt-cred-mech', '-u', `${User}:${Password}`, '-r', 'lab'],
      // It would hold hundreds of megabytes for its threads otherwise.
      ...['-m', '1'],
      ...['--pidfile', file('pid'), '--log-file', file('log'), '--simple-log', '--userdb', file('db')],
      ...addresses.flatMap((address) => ['-L', address]),
      ...(tls === undefined ? ['--no-tls', '--no-dtls'] : tlsParameters(folder, tls)),
    ]
  }
}

function tlsParameters(folder: string, tls: NonNullable<TurnServerOptions['tls']>): readonly string[] {
  const files = ['--cert', join(folder, tls.certificate), '--pkey', join(folder, tls.key)]
  // A port that takes TCP takes TLS too.
  const port443 = tls.port443.flatMap((address) => ['--aux-server', `${address}:443`])
  return [...files, '--tls-listening-port', '5349', ...port443]
}
