import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { admission } from './tables/admission.js'
import { backends } from './tables/backends.js'
import { broker } from './tables/broker.js'
import { chat } from './tables/chat.js'
import { flood } from './tables/flood.js'
import { input } from './tables/input.js'
import { invites } from './tables/invites.js'
import { machine } from './tables/machine.js'
import { member } from './tables/member.js'
import { path } from './tables/path.js'
import { relay } from './tables/relay.js'
import { portMapping } from './tables/router.js'
import { root } from './weakened-program.js'

const all = [
  admission,
  backends,
  broker,
  chat,
  flood,
  input,
  invites,
  machine,
  member,
  path,
  portMapping,
  relay,
].flat()

/** Tests that docs/security.md names and no table does, and why. */
const Elsewhere: Readonly<Record<string, string>> = {
  'unit/record-flood.test.ts': 'weakens puzzle and sample itself',
  'unit/wireguard-flood.test.ts': 'weakens the load policy itself',
  'fuzz/control-socket.test.ts': 'sends anything: no rule of one line keeps it from harm',
  'e2e/record-flood.test.ts': 'runs the built command',
  'e2e/broker-sees.test.ts': 'runs the built command',
  'e2e/host-choice.test.ts': 'runs the built command',
  'e2e/wrong-input.test.ts': 'runs the built command',
  'e2e/room.test.ts': 'runs the built command',
  'e2e/network.test.ts': 'runs the built command',
  'contract/mqtt.test.ts': 'shows what brokers do, not what strangers do',
  'contract/mqtt-refusals.test.ts': 'shows what brokers do, not what strangers do',
  'contract/mqtt-several.test.ts': 'shows what brokers do, not what strangers do',
}

describe('docs/security.md', () => {
  const text = readFileSync(join(root, 'docs', 'security.md'), 'utf8')
  const named = new Set(Array.from(text.matchAll(/`test\/([a-z0-9/.-]+\.test\.ts)`/g), ([, file]) => file!))

  it('names no test that is not shown to bite', () => {
    const shown = new Set([...all.map(({ attack: [file] }) => file), ...Object.keys(Elsewhere)])
    expect([...named].filter((file) => !shown.has(file))).toEqual([])
  })
})
