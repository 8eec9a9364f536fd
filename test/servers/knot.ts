/** Debian's knot on a free port of 127.0.0.1, with a zone that takes updates. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BindOptions } from './bind.js'
import { type ChildServer, startChildServer } from './child-server.js'

const program = ['/usr/sbin/knotd', '/usr/local/sbin/knotd'].find((path) => existsSync(path))

/** Why knotd cannot be started here, or undefined where it can. */
export const knotMissing: string | undefined =
  program === undefined ? 'knotd is not installed (apt-get install knot)' : undefined

export function startKnot({ zone, keys }: Omit<BindOptions, 'policy'>): Promise<ChildServer> {
  return startChildServer({
    program: program ?? 'knotd',
    ready: /server started/,
    prepare: (folder, port) => {
      const lines = ['$TTL 1', `@ SOA ns hostmaster 1 3600 600 86400 1`, '@ NS ns', 'ns A 127.0.0.1']
      writeFileSync(join(folder, 'zone'), `$ORIGIN ${zone}.\n${lines.join('\n')}\n`)
      mkdirSync(join(folder, 'db'))
      const config = join(folder, 'knot.conf')
      writeFileSync(config, configuration(folder, port, zone, keys), { mode: 0o600 })
      return ['-c', config]
    },
  })
}

function configuration(folder: string, port: number, zone: string, keys: BindOptions['keys']): string {
  return `
server:
    rundir: "${folder}"
    listen: 127.0.0.1@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "${join(folder, 'db')}"
    journal-db-max-size: 50M
    kasp-db-max-size: 10M
    timer-db-max-size: 1M
key:
${keys.map(({ name, algorithm, secret }) => `  - id: ${name}\n    algorithm: ${algorithm}\n    secret: ${secret}\n`).join('')}
acl:
  - id: members
    key: [${keys.map(({ name }) => name).join(', ')}]
    action: update
    update-type: TXT
zone:
  - domain: ${zone}
    storage: "${folder}"
    file: zone
    acl: members
`
}
