/** Debian's unbound on a free port of 127.0.0.1: resolves one zone, at its server on 127.0.0.1. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ChildServer, startChildServer } from './child-server.js'

const program = ['/usr/sbin/unbound', '/usr/local/sbin/unbound'].find((path) => existsSync(path))

/** Why unbound cannot be started here, or undefined where it can. */
export const unboundMissing: string | undefined =
  program === undefined ? 'unbound is not installed (apt-get install unbound)' : undefined

export function startUnbound(zone: string, zonePort: number): Promise<ChildServer> {
  return startChildServer({
    program: program ?? 'unbound',
    ready: /start of service/,
    prepare: (folder, port) => {
      const config = join(folder, 'unbound.conf')
      writeFileSync(config, configuration(folder, port, zone, zonePort))
      return ['-d', '-c', config]
    },
  })
}

function configuration(folder: string, port: number, zone: string, zonePort: number): string {
  return `
server:
  directory: "${folder}"
  pidfile: "${join(folder, 'unbound.pid')}"
  username: ""
  chroot: ""
  use-syslog: no
  logfile: ""
  verbosity: 1
  interface: 127.0.0.1@${port}
  access-control: 127.0.0.0/8 allow
  do-ip6: no
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  # Else unbound knows that there is no such zone (RFC 6761).
  local-zone: "test." nodefault
  # What is hard on a server: names letter by letter, in a random case.
  qname-minimisation: yes
  use-caps-for-id: yes
  # A server that comes back is noticed soon.
  infra-host-ttl: 1
  infra-keep-probing: yes
remote-control:
  control-enable: no
stub-zone:
  name: "${zone}"
  stub-addr: 127.0.0.1@${zonePort}
`
}
