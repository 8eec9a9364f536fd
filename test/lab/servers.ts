/** A broker and a STUN and TURN server on a lab's internet, and what leads a client to them. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { listening } from './listening.js'
import type { Namespace } from './namespace.js'
import { type Access, Servers } from './nat.js'
import { Password, TurnServer, User } from './turn-server.js'

/** Commands that they need, for `missingForLab`. */
export const LabServersCommands = ['mosquitto', 'turnserver', 'openssl', 'ss'] as const

const [First, Second, Third] = Servers.ipv4
const [FirstIpv6, SecondIpv6] = Servers.ipv6

export interface LabServersOptions {
  /** One more, of which clients whose UDP passes know beside the first. No by default. */
  readonly secondTurnServer?: boolean
}

export interface LabServers {
  /** The authority that has signed the servers' certificate (PEM); Node takes it from NODE_EXTRA_CA_CERTS. */
  readonly ca: string
  readonly turnServers: readonly TurnServer[]
  /** Values for `--set`, for a client with this access to the internet. */
  settings(access: Access): readonly string[]
}

/**
 * Starts them; they end with the namespace.
 * @param folder for their files; it must be there as long as they run
 * @throws Error where one of them does not listen within 20 s
 */
export async function startLabServers(
  internet: Namespace,
  folder: string,
  { secondTurnServer = false }: LabServersOptions = {},
): Promise<LabServers> {
  const file = (name: string): string => join(folder, name)
  makeCertificate(folder)
  writeFileSync(file('mosquitto.conf'), mosquittoLines(file).join('\n'))
  internet.spawn('mosquitto', ['-c', file('mosquitto.conf')], { stdio: 'ignore' })
  const turnServers = [
    new TurnServer(internet, {
      name: 'turnserver',
      folder,
      addresses: [First, Second, FirstIpv6, SecondIpv6],
      tls: { certificate: 'server.pem', key: 'server.key', port443: [Second, `[${SecondIpv6}]`] },
    }),
    ...(secondTurnServer ? [new TurnServer(internet, { name: 'second', folder, addresses: [Third] })] : []),
  ]
  await Promise.all([
    ...turnServers.map((each) => each.start()),
    listening(internet, '-lnt', `${First}:1883`, `${Third}:443`, `${First}:5349`, `${Second}:443`),
    listening(internet, '-lnu', `${Second}:3478`),
  ])
  const ca = file('ca.pem')
  return { ca, turnServers, settings: (access) => settingsFor(access, ca, secondTurnServer) }
}

function settingsFor({ type, family = 'ipv4' }: Access, ca: string, second: boolean): readonly string[] {
  const address = family === 'ipv6' ? `[${FirstIpv6}]` : First
  const other = family === 'ipv6' ? `[${SecondIpv6}]` : Second
  const turn = {
    udp: `turn:${address}:3478`,
    tcp: `turn:${address}:3478?transport=tcp`,
    tls443: `turns:${other}:443`,
  }
  const urls =
    type === 'tcp-443'
      ? [turn.tls443]
      : type === 'udp-blocked'
        ? [turn.tcp, turn.tls443]
        : second
          ? [turn.udp, `turn:${Third}:3478`]
          : [turn.udp, turn.tcp]
  const relays = urls.map((url) => `{url: "${url}", username: ${User}, credential: ${Password}, ca: ${ca}}`)
  const broker =
    type === 'tcp-443'
      ? [`adapters.mqtt.url=mqtts://${Third}:443`, `adapters.mqtt.ca=${ca}`]
      : [`adapters.mqtt.url=mqtt://${address}:1883`]
  return [
    ...broker,
    `transport.stun=["${address}:3478", "${other}:3478"]`,
    `transport.turn=[${relays.join(', ')}]`,
  ]
}

function mosquittoLines(file: (name: string) => string): string[] {
  return [
    `listener 1883 ${First}`,
    `listener 1883 ${FirstIpv6}`,
    `listener 443 ${Third}`,
    `certfile ${file('server.pem')}`,
    `keyfile ${file('server.key')}`,
    'allow_anonymous true',
    'persistence false',
    'log_dest none',
    // Else it becomes the user mosquitto, who may not read these files.
    'user root',
    '',
  ]
}

function makeCertificate(folder: string): void {
  const names = [...Servers.ipv4, ...Servers.ipv6].map((address) => `IP:${address}`).join(',')
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const run = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
  run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=lab')
  run('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=servers of the lab')
  writeFileSync(join(folder, 'server.ext'), `subjectAltName=${names}\n`)
  const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial']
  run(
    'x509',
    '-req',
    '-in',
    'server.csr',
    ...authority,
    '-out',
    'server.pem',
    '-extfile',
    'server.ext',
    '-days',
    '2',
  )
}
