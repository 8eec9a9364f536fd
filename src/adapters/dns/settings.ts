/** From the options of the configuration to what the adapter needs, with the secret's file read. */
import { getServers } from 'node:dns'
import { UsageError } from '../../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { readOptionFile } from '../shared/option-files.js'
import type { DnsOptions, TsigOptions } from './definition.js'
import { parseZone } from './names.js'
import { parseServerAddress } from './server-address.js'
import type { TsigKey } from './tsig.js'

/** A server to ask, and how messages call it. */
export interface DnsServer extends SocketAddress {
  readonly label: string
}

export interface UpdateSettings {
  readonly mode: 'update'
  readonly zone: string
  /** Takes updates. */
  readonly server: DnsServer
  /** Where to read instead, in this order; empty where the server is read. */
  readonly resolvers: readonly DnsServer[]
  readonly key: TsigKey | undefined
}

export interface TunnelSettings {
  readonly mode: 'tunnel'
  readonly zone: string
  readonly resolvers: readonly [DnsServer, ...DnsServer[]]
}

export interface ServeSettings {
  readonly mode: 'serve'
  readonly zone: string
  readonly listen: SocketAddress
  /** What the zone says where its server is. */
  readonly advertised: string
}

/** @throws UsageError for options that are missing, wrong or contradict each other */
export async function readSettings(
  options: DnsOptions,
  role: 'host' | 'guest',
): Promise<UpdateSettings | TunnelSettings | ServeSettings> {
  if (options.zone === undefined) {
    throw new UsageError('dns-zone-missing', 'the dns backend needs a zone', {
      advice: 'Set adapters.dns.zone, such as gonet.example.org',
    })
  }
  const zone = parseZone(options.zone)
  if (options.mode === 'update') return readUpdateSettings(options, zone)
  if (options.listen !== undefined && role === 'host') {
    const listen = parseServerAddress(options.listen)
    return { mode: 'serve', zone, listen, advertised: advertisedAddress(listen, options.server) }
  }
  const [first, ...others] = (options.resolver ?? systemResolvers()).map(serverOf)
  if (first === undefined) {
    throw new UsageError('dns-resolver-missing', 'this machine names no DNS resolver', {
      advice: 'Set adapters.dns.resolver, such as 192.0.2.1:53',
    })
  }
  return { mode: 'tunnel', zone, resolvers: [first, ...others] }
}

async function readUpdateSettings(options: DnsOptions, zone: string): Promise<UpdateSettings> {
  if (options.server === undefined) {
    throw new UsageError('dns-server-missing', 'updates of a zone need the address of its server', {
      advice: 'Set adapters.dns.server, such as 192.0.2.1:53',
    })
  }
  const key = options.tsig === undefined ? undefined : await readKey(options.tsig)
  const resolvers = (options.resolver ?? []).map(serverOf)
  return { mode: 'update', zone, server: serverOf(options.server), resolvers, key }
}

async function readKey({ name, algorithm, secret, secretFile }: TsigOptions): Promise<TsigKey> {
  if (secret !== undefined && secretFile !== undefined) {
    throw new UsageError(
      'dns-secret-twice',
      'adapters.dns.tsig.secret is given twice, inline and as a file',
      {
        advice: 'Keep one of adapters.dns.tsig.secret and adapters.dns.tsig.secretFile',
      },
    )
  }
  const text =
    secretFile === undefined
      ? secret
      : secretIn((await readOptionFile('dns', 'tsig.secretFile', secretFile)).toString('utf8'))
  if (text === undefined) {
    throw new UsageError('dns-secret-missing', `the TSIG key ${name} has no secret`, {
      advice: 'Set adapters.dns.tsig.secretFile',
    })
  }
  const bytes = new Uint8Array(Buffer.from(text, 'base64'))
  if (bytes.length === 0 || !/^[0-9a-z+/]+={0,2}$/i.test(text)) {
    throw new UsageError('dns-secret-wrong', `the secret of the TSIG key ${name} is not base64`, {
      advice: 'It is what tsig-keygen and keymgr print as secret',
    })
  }
  return { name: name.toLowerCase().replace(/\.$/, ''), algorithm, secret: bytes }
}

/** One line of base64, or what `tsig-keygen` or `keymgr -t` print. */
function secretIn(text: string): string {
  const [, quoted] = /\bsecret:?\s+"?([0-9a-zA-Z+/=]+)"?/.exec(text) ?? []
  return quoted ?? text.trim()
}

function advertisedAddress(listen: SocketAddress, server: string | undefined): string {
  if (server !== undefined) return parseServerAddress(server).address
  if (listen.address !== '0.0.0.0' && listen.address !== '::') return listen.address
  throw new UsageError('dns-server-missing', 'a zone has to say where its server is', {
    advice: 'Set adapters.dns.server to the address at which resolvers reach this machine',
  })
}

function systemResolvers(): readonly string[] {
  return getServers()
}

function serverOf(text: string): DnsServer {
  const address = parseServerAddress(text)
  return { ...address, label: formatSocketAddress(address) }
}
