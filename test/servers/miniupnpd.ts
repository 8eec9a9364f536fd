/** Debian's miniupnpd (PCP, NAT-PMP and UPnP-IGD over nftables) as the router of a namespace. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Namespace } from '../lab/namespace.js'

export interface MiniupnpdOptions {
  /** A NAT router's: `lan0` is within, `wan0` outside. */
  readonly namespace: Namespace
  /** Whether it speaks PCP and NAT-PMP (this version has one switch for both). */
  readonly pcp: boolean
  readonly upnp: boolean
}

/** The chains that miniupnpd fills, around them a NAT router that lets nothing in by itself. */
const Rules = `table inet filter {
  chain forward {
    type filter hook forward priority 0; policy drop
    iifname "lan0" accept
    ct state established,related accept
    jump miniupnpd
  }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting {
    type nat hook postrouting priority 100
    jump postrouting_miniupnpd
    oifname "wan0" masquerade
  }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}`

export class Miniupnpd {
  readonly #namespace: Namespace
  readonly #folder = mkdtempSync(join(tmpdir(), 'gonet-miniupnpd-'))
  readonly #config = join(this.#folder, 'miniupnpd.conf')
  #child: ChildProcess | undefined

  /** Makes the namespace a NAT router, and starts the daemon in it. */
  static async start(options: MiniupnpdOptions): Promise<Miniupnpd> {
    const server = new Miniupnpd(options)
    await options.namespace.run('nft', Rules)
    await server.start()
    return server
  }

  private constructor({ namespace, pcp, upnp }: MiniupnpdOptions) {
    this.#namespace = namespace
    const lines = ['ext_ifname=wan0', 'listening_ip=lan0', 'http_port=0', 'ipv6_disable=yes']
    lines.push(`enable_natpmp=${pcp ? 'yes' : 'no'}`, `enable_upnp=${upnp ? 'yes' : 'no'}`)
    lines.push('min_lifetime=10', 'max_lifetime=86400', 'secure_mode=yes', 'system_uptime=no')
    lines.push('notify_interval=60', 'uuid=00000000-0000-4000-8000-000000000001')
    lines.push('allow 1024-65535 10.0.0.0/24 1024-65535', 'deny 0-65535 0.0.0.0/0 0-65535', '')
    writeFileSync(this.#config, lines.join('\n'))
  }

  async start(): Promise<void> {
    const parameters = ['-d', '-f', this.#config, '-P', join(this.#folder, 'pid')]
    const child = this.#namespace.spawn('miniupnpd', parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    const said: string[] = []
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        createInterface({ input: stream }).on('line', (line) => {
          if (said.length < 50) said.push(line)
          if (/listening on|Listening for/i.test(line)) resolve()
        })
      }
      child.once('exit', () => reject(new Error(`miniupnpd did not start: ${said.join(' | ')}`)))
    })
  }

  /** Kills it, and flushes what it mapped, as a router that loses its power. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    for (const chain of ['miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd']) {
      await this.#namespace.run('nft', 'flush', 'chain', 'inet', 'filter', chain)
    }
  }

  /** The mappings there are, as nft lists them. */
  async mappings(): Promise<string[]> {
    const list = await this.#namespace.run('nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd')
    return list.split('\n').filter((line) => line.includes('dnat'))
  }

  /** The daemon itself ends with its namespace. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
