/** A host's invites, asked for from another process. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ControlClient } from '../../src/node/control/client.js'
import { findRunningRoom } from '../../src/node/control/find-running-room.js'
import { ControlServer } from '../../src/node/control/server.js'
import { FakeRoom, ManualClock, StateFolder, silent } from './control-room.js'

let folder: StateFolder
let clock: ManualClock
let server: ControlServer
let client: ControlClient

beforeEach(async () => {
  folder = new StateFolder()
  clock = new ManualClock()
  server = new ControlServer({ state: folder.path, clock, logger: silent })
  await server.open(new FakeRoom(), 'host')
  client = (await findRunningRoom(folder.path, undefined)).client
})
afterEach(async () => {
  client.close()
  const closed = server.close()
  clock.pass(2000)
  await closed
  folder.remove()
})

describe('invites', () => {
  it('are made, listed and revoked', async () => {
    const made = await client.request('invite', { once: true, name: 'anna' })
    expect(made).toMatchObject({ id: '00000000', once: true, name: 'anna' })
    expect((made as { readonly link: string }).link).toContain('gonet://')
    expect(await client.request('invites')).toMatchObject({ invites: [{ id: '00000000', state: 'open' }] })
    expect(await client.request('revoke-invite', { id: '00000000' })).toMatchObject({ state: 'revoked' })
  })

  it('are not made of what makes no sense', async () => {
    const wrong = [{ once: 'yes' }, { expiresInMs: '1h' }, { name: 1 }]
    for (const parameters of wrong) {
      await expect(client.request('invite', parameters)).rejects.toMatchObject({ code: 'request-invalid' })
    }
    await expect(client.request('revoke-invite', {})).rejects.toMatchObject({ code: 'request-invalid' })
    await expect(client.request('revoke-invite', { id: 'x' })).rejects.toMatchObject({
      code: 'invite-unknown',
    })
  })
})
