/** Who gets in, through the command: passwords as they are given. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { complaints, type Running, Workbench } from './workbench.js'

const Password = 'correct horse battery staple'

let broker: Mosquitto
let url: string
let bench: Workbench

beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

function start(name: string, ...args: readonly string[]): Running {
  const shared = ['--signal', 'mqtt', `--set=adapters.mqtt.url=${url}`, '--state', name, '--name', name]
  return bench.start(...shared, '--json', ...args)
}

function writePassword(name: string, text: string): string {
  const file = join(bench.folder, name)
  writeFileSync(file, `${text}\n`, { mode: 0o600 })
  return file
}

describe.skipIf(mosquittoMissing !== undefined)('admission', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
    url = `mqtt://127.0.0.1:${broker.port}`
  })
  afterAll(() => broker.close())

  it('asks for the password, which the host needs no second time and has nowhere', async () => {
    const right = writePassword('right', Password)
    const first = start('host', 'create', '--password-file', right)
    await first.next('room')
    first.signal('SIGTERM')
    expect((await first.finished).code).toBe(0)
    const host = start('host', 'create', '--set', 'admission.kind=password')
    const { room } = await host.next('room')

    const [alice, mallory, bob] = [
      start('alice', 'join', room, '--password-file', right),
      start('mallory', 'join', room, '--password-file', writePassword('wrong', 'Correct horse')),
      start('bob', 'join', room),
    ]
    await alice.next('joined')
    alice.type('hello')
    expect(await host.next('message')).toMatchObject({ from: 'alice', text: 'hello' })
    for (const refused of [mallory, bob]) {
      expect((await refused.finished).code).toBe(5)
      expect(complaints(refused.stderr)).toHaveLength(1)
      expect(refused.events.some(({ event }) => event === 'joined')).toBe(false)
    }
    expect(mallory.stderr).toMatch(/password/)
    expect(bob.stderr).toMatch(/--password-file/)
    expect(host.events.filter(({ event }) => event === 'member')).toHaveLength(1)

    const state = join(bench.folder, 'host')
    const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
    for (const file of files.map(({ name, parentPath }) => join(parentPath, name))) {
      expect(readFileSync(file).includes(Password)).toBe(false)
      expect(statSync(file).mode & 0o077).toBe(0)
    }
  }, 40_000)
})
