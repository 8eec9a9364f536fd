/**
 * The command behind real NATs, with mosquitto and coturn: pairs that take each kind of path. `npm run matrix` runs
 * every pair, and more than once.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { missingForLab } from '../lab/namespace.js'
import { NatLabCommands, type NatType } from '../lab/nat.js'
import { NatPair } from '../lab/nat-pair.js'
import { LabServersCommands } from '../lab/servers.js'

const missing = missingForLab(...NatLabCommands, ...LabServersCommands)

let pair: NatPair | undefined

describe.skipIf(missing.length > 0)('two members behind NATs', () => {
  afterEach(() => pair?.close())

  it.each<[NatType, NatType, 'direct' | 'relay']>([
    ['port-restricted', 'port-restricted', 'direct'],
    ['full-cone', 'symmetric', 'direct'],
    ['cgnat', 'restricted', 'direct'],
    ['port-restricted', 'occupying', 'direct'],
    ['symmetric', 'symmetric', 'relay'],
    ['udp-blocked', 'port-restricted', 'relay'],
    ['tcp-443', 'tcp-443', 'relay'],
  ])(
    '%s and %s chat, %s',
    async (a, b, wanted) => {
      pair = await NatPair.open(a, b)
      const { room } = await pair.startHost()
      const guest = pair.startGuest(room)
      await guest.next('joined')
      guest.type('from the guest')
      expect(await pair.host.next('message')).toMatchObject({ text: 'from the guest' })
      pair.host.type('from the host')
      expect(await guest.next('message')).toMatchObject({ text: 'from the host' })
      if (wanted === 'direct') await pair.untilDirect(15_000)
      else expect(pair.isRelayed).toBe(true)
      guest.end()
      expect((await guest.finished).code).toBe(0)
    },
    90_000,
  )
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}
