/** The built library as a program uses it, by its package name. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type * as Library from '../../src/index.js'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** Inside the package, whose own name resolves there; git ignores it. */
const scratch = join(root, '.test')
const { createRoom, joinRoom, GonetError, UsageError } = (await import(
  join(root, 'dist', 'lib', 'index.js')
)) as typeof Library

let folder: string

beforeEach(() => {
  mkdirSync(scratch, { recursive: true })
  folder = mkdtempSync(join(scratch, 'library-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(mosquittoMissing !== undefined)('the library', () => {
  let broker: Mosquitto
  let options: Library.RoomOptions

  beforeAll(async () => {
    broker = await startMosquitto()
  })
  beforeEach(() => {
    const url = `mqtt://127.0.0.1:${broker.port}`
    options = { signal: ['mqtt'], adapters: { mqtt: { url } }, state: join(folder, 'state') }
  })
  afterAll(() => broker.close())

  it("does what the README's example says", async () => {
    const [, example] = /```js\n(.*?)```/s.exec(readFileSync(join(root, 'README.md'), 'utf8'))!
    const program = join(folder, 'example.mjs')
    writeFileSync(program, example!.replace('127.0.0.1:1883', `127.0.0.1:${broker.port}`))
    const child = spawn(process.execPath, [program], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
    }
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect([code, said]).toEqual([0, 'bob: hello\n'])
  })

  it('shows who is there, with typed events', async () => {
    const host = await createRoom({ ...options, name: 'alice' })
    const guest = await joinRoom(host.id, { ...options, name: 'bob' })
    expect(guest.members.map(({ name, host: isHost }) => [name, isHost])).toEqual([
      ['alice', true],
      ['bob', false],
    ])
    const { messages } = host
    const id = guest.send('hello')
    for await (const { text } of messages) {
      expect(text).toBe('hello')
      break
    }
    for await (const event of guest.events) if (event.event === 'delivered' && event.id === id) break
    expect(guest.undelivered).toBe(0)
    await guest.leave()
    await guest.leave()
    expect(() => guest.send('too late')).toThrow(GonetError)
    await host.leave()
  })

  it('lets in who has the password', async () => {
    const host = await createRoom({ ...options, admission: { password: 'open sesame' } })
    const wrong = { ...options, state: join(folder, 'stranger'), admission: { password: 'open barley' } }
    await expect(joinRoom(host.id, wrong)).rejects.toMatchObject({ code: 'password-wrong' })
    const guest = await joinRoom(host.id, { ...options, admission: { password: 'open sesame' } })
    expect(guest.members).toHaveLength(2)
    await guest.leave()
    await host.leave()
  })

  it('rejects with what is wrong, and leaves nothing running', async () => {
    await expect(joinRoom('nonsense', options)).rejects.toThrow(UsageError)
    await expect(createRoom({ ...options, timeoutMs: Number.NaN })).rejects.toThrow(UsageError)
    await expect(createRoom({ ...options, name: 'a:b' })).rejects.toMatchObject({ code: 'config-invalid' })
    await expect(joinRoom('cf83e1357eefb8bdf154', { ...options, timeoutMs: 300 })).rejects.toMatchObject({
      code: 'room-not-found',
    })
  })

  it('stops waiting when it is aborted, and leaves a room that is up', async () => {
    const reason = new Error('no more')
    await expect(
      joinRoom('cf83e1357eefb8bdf154', { ...options, abort: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason)
    const waiting = new AbortController()
    const joined = joinRoom('cf83e1357eefb8bdf154', { ...options, abort: waiting.signal })
    waiting.abort(reason)
    await expect(joined).rejects.toBe(reason)
    const leaving = new AbortController()
    const host = await createRoom({ ...options, abort: leaving.signal })
    leaving.abort()
    const events = []
    for await (const { event } of host.events) events.push(event)
    expect(events.at(-1)).toBe('left')
  })
})
