/** Debian's coturn on a free port of 127.0.0.1. */
import { existsSync } from 'node:fs'
import { type Certificates, makeCertificates } from './certificates.js'
import { type ChildServer, startChildServer } from './child-server.js'

export interface CoturnOptions {
  readonly users?: Readonly<Record<string, string>>
  /** In the place of users: the secret that credentials are made from. */
  readonly secret?: string
  /** The port is for TLS, and for nothing else. */
  readonly tls?: boolean
  /** More arguments, such as `--stale-nonce=4`. */
  readonly args?: readonly string[]
}

export interface Coturn extends ChildServer {
  readonly certificates: Certificates | undefined
}

const program = ['/usr/bin/turnserver', '/usr/local/bin/turnserver'].find((path) => existsSync(path))

/** Why coturn cannot be started here, or undefined where it can. */
export const coturnMissing: string | undefined =
  program === undefined ? 'turnserver is not installed (apt-get install coturn)' : undefined

export async function startCoturn(options: CoturnOptions): Promise<Coturn> {
  const { users = {}, secret, tls = false, args = [] } = options
  let certificates: Certificates | undefined
  const server = await startChildServer({
    program: program ?? 'turnserver',
    ready: /SQLite DB connection success/,
    prepare: (folder, port) => {
      if (tls) certificates = makeCertificates(folder)
      return [
        ...[
          '-n',
          '--no-cli',
          '--no-rfc5780',
          '--allow-loopback-peers',
          '--no-dtls',
          '--log-file=stdout',
          '-v',
        ],
        ...['--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', '--realm=gonet.test', '--lt-cred-mech'],
        ...[`--db=${folder}/turndb`, `--pidfile=${folder}/turnserver.pid`],
        ...(secret === undefined ? [] : ['--use-auth-secret', `--static-auth-secret=${secret}`]),
        ...Object.entries(users).map(([name, password]) => `--user=${name}:${password}`),
        ...(certificates === undefined
          ? ['--no-tls', `--listening-port=${port}`]
          : [`--tls-listening-port=${port}`, '--no-udp', '--no-tcp']),
        ...(certificates === undefined ? [] : [`--cert=${certificates.cert}`, `--pkey=${certificates.key}`]),
        ...args,
      ]
    },
  })
  return { ...server, certificates }
}
