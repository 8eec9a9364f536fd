/** Debian's bind9 on a free port of 127.0.0.1: a zone that takes updates, or a resolver. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ChildServer, startChildServer } from './child-server.js'

export interface TestKey {
  readonly name: string
  readonly algorithm: 'hmac-sha256' | 'hmac-sha512'
  /** Base64. */
  readonly secret: string
}

export interface BindOptions {
  readonly zone: string
  readonly keys: readonly TestKey[]
  /** Lines of the zone's `update-policy`. Every key may change everything by default. */
  readonly policy?: readonly string[]
}

const program = ['/usr/sbin/named', '/usr/local/sbin/named'].find((path) => existsSync(path))

/** Why named cannot be started here, or undefined where it can. */
export const bindMissing: string | undefined =
  program === undefined ? 'named is not installed (apt-get install bind9)' : undefined

const common = (folder: string, port: number): readonly string[] => [
  `directory "${folder}";`,
  `listen-on port ${port} { 127.0.0.1; };`,
  'listen-on-v6 { none; };',
  'pid-file none;',
  `session-keyfile "${join(folder, 'session.key')}";`,
  'dnssec-validation no;',
  'notify no;',
]

export function startBind({ zone, keys, policy }: BindOptions): Promise<ChildServer> {
  return start((folder, port) => {
    const zoneFile = join(folder, 'zone')
    const lines = ['$TTL 1', `@ SOA ns hostmaster 1 3600 600 86400 1`, '@ NS ns', 'ns A 127.0.0.1']
    writeFileSync(zoneFile, `${lines.join('\n')}\n`)
    const policies = policy ?? keys.map(({ name }) => `grant ${name} zonesub TXT;`)
    return [
      ...keys.map((key) => `key "${key.name}" { algorithm ${key.algorithm}; secret "${key.secret}"; };`),
      'options {',
      ...common(folder, port),
      'recursion no;',
      '};',
      `zone "${zone}" { type primary; file "${zoneFile}"; update-policy { ${policies.join(' ')} }; };`,
    ]
  })
}

/** Resolves one zone, at its server on 127.0.0.1, and nothing else. */
export function startBindResolver(zone: string, zonePort: number): Promise<ChildServer> {
  return start((folder, port) => [
    'options {',
    ...common(folder, port),
    'recursion yes;',
    'allow-recursion { 127.0.0.1; };',
    'servfail-ttl 0;',
    '};',
    'zone "." { type hint; file "/dev/null"; };',
    `zone "${zone}" { type forward; forward only; forwarders { 127.0.0.1 port ${zonePort}; }; };`,
  ])
}

function start(configuration: (folder: string, port: number) => readonly string[]): Promise<ChildServer> {
  return startChildServer({
    program: program ?? 'named',
    ready: / running$/,
    prepare: (folder, port) => {
      const config = join(folder, 'named.conf')
      const lines = ['controls { };', ...configuration(folder, port)]
      writeFileSync(config, `${lines.join('\n')}\n`, { mode: 0o600 })
      return ['-g', '-n', '1', '-c', config]
    },
  })
}
