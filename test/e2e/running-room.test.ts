/** A room that runs as a service, and the commands that talk to it, over mosquitto on loopback. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { complaints, type Finished, type Running, Workbench } from './workbench.js'

let broker: Mosquitto
let bench: Workbench

beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

function config(name: string, more: string): string {
  const file = `${name}.yaml`
  const adapter = `signal: mqtt\nadapters: { mqtt: { url: "mqtt://127.0.0.1:${broker.port}" } }`
  mkdirSync(bench.folder, { recursive: true })
  writeFileSync(join(bench.folder, file), `name: ${name}\n${adapter}\n${more}\n`)
  return file
}

function up(name: string, more: string): Running {
  return bench.start('up', '-c', config(name, more), '--state', name)
}

function ask(name: string, ...args: readonly string[]): Promise<Finished> {
  return bench.run(['--state', name, ...args])
}

describe.skipIf(mosquittoMissing !== undefined)('a running room', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
  })
  afterAll(() => broker.close())

  it('runs as a service, is asked by commands, and is closed for all', async () => {
    const host = up('host', 'role: host')
    await host.says(/room .* is open/)
    const status = JSON.parse((await ask('host', 'status', '--json')).stdout) as { readonly room: string }
    const guest = up('guest', `role: guest\nroom: ${status.room}`)
    await guest.says(/joined room /)

    const reader = bench.start('--state', 'guest', 'chat', '--stay')
    const [pinged, members] = await Promise.all([
      ask('host', 'ping', 'guest', '--count', '1', '--room', status.room.slice(0, 4)),
      ask('guest', 'members'),
    ])
    expect(pinged.stdout).toMatch(/^guest \(10\.[\d.]+\): [\d.]+ ms\n$/)
    const rows = members.stdout.split('\n').map((line) => line.split('\t').slice(0, 4))
    expect(rows.map(([name, , ...rest]) => [name, ...rest])).toEqual([
      ['host', 'online', 'host'],
      ['guest', 'online', 'guest'],
      [''],
    ])
    expect(await ask('host', 'send', 'hello', 'there')).toMatchObject({ code: 0, stdout: '' })
    expect(await reader.line(/^host: /)).toBe('host: hello there')
    const [nobody, closing] = await Promise.all([ask('guest', 'kick', 'host'), ask('nowhere', 'status')])
    expect([nobody.code, complaints(nobody.stderr)[0]]).toEqual([2, expect.stringContaining('Only the host')])
    expect([closing.code, complaints(closing.stderr)[0]]).toEqual([
      2,
      expect.stringContaining('No room runs'),
    ])

    expect(await ask('host', 'leave', '--close')).toMatchObject({ code: 0, stderr: '' })
    const ended = await Promise.all([host.finished, guest.finished, reader.finished])
    expect(ended.map(({ code }) => code)).toEqual([0, 7, 7])
    expect([host.stdout, guest.stdout]).toEqual(['', ''])
    expect(guest.stderr).not.toContain('hello there')
  })
})
