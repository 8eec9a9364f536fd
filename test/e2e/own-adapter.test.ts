/** A user's own adapter in the built command: the example, as somebody would use it who has only that file. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { complaints, type Running, Workbench } from './workbench.js'

const example = join(import.meta.dirname, '../../config/examples/my-adapter.mjs')

let bench: Workbench
beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

function start(name: string, ...args: readonly string[]): Running {
  const settings = ['transport.loopback=true', 'transport.stun=[]', 'transport.portMapping=false'].flatMap(
    (each) => ['--set', each],
  )
  return bench.start('--json', '--name', name, '--state', name, ...settings, ...args)
}

async function chat(host: Running, guest: (room: string) => Running): Promise<void> {
  const { room } = await host.next('room')
  const joining = guest(room)
  await joining.next('joined')
  joining.type('by way of a folder')
  expect(await host.next('message')).toMatchObject({ from: 'bob', text: 'by way of a folder' })
  joining.end()
  expect((await joining.finished).code).toBe(0)
}

describe('an adapter of one’s own', () => {
  it('brings host and guest together, from a configuration file or from the command line', async () => {
    const folder = join(bench.folder, 'elsewhere')
    mkdirSync(folder)
    mkdirSync(join(bench.folder, 'shared'))
    copyFileSync(example, join(folder, 'post.mjs'))
    const path = join(bench.folder, 'shared')
    writeFileSync(
      join(folder, 'gonet.yaml'),
      `signal: ./post.mjs\nadapters:\n  folder: { path: ${JSON.stringify(path)} }\n`,
    )
    const options = ['--signal', './elsewhere/post.mjs', '--set', 'adapters.folder.path=shared']
    const host = start('alice', '--config', 'elsewhere/gonet.yaml', 'create')
    await chat(host, (room) => start('bob', ...options, 'join', room))
    expect(host.events).toContainEqual(
      expect.objectContaining({ event: 'signalling', adapter: 'folder', state: 'up' }),
    )
  }, 60_000)

  it('may wait at its top, as ES modules do', async () => {
    writeFileSync(
      join(bench.folder, 'late.mjs'),
      `await new Promise((resolve) => setTimeout(resolve, 10))
       const { default: adapter } = await import(${JSON.stringify(example)})
       export default { ...adapter, name: 'late' }`,
    )
    const { code, stdout } = await bench.run([
      '--signal',
      './late.mjs',
      '--set',
      'adapters.late.path=x',
      'config',
      'check',
    ])
    expect([code, stdout]).toEqual([0, 'no configuration file: ok\n'])
  })

  it('passes the suite of gonet/testing under node --test, as docs/adapters.md has it', async () => {
    const root = join(import.meta.dirname, '../..')
    mkdirSync(join(bench.folder, 'node_modules'))
    symlinkSync(root, join(bench.folder, 'node_modules', 'gonet'))
    copyFileSync(example, join(bench.folder, 'my-adapter.mjs'))
    writeFileSync(
      join(bench.folder, 'my-adapter.test.mjs'),
      `import { mkdirSync, renameSync } from 'node:fs'
       import { after, afterEach, before, describe, it } from 'node:test'
       import { testContext, testSignallingAdapter } from 'gonet/testing'
       import definition from './my-adapter.mjs'
       mkdirSync('here')
       testSignallingAdapter({
         name: definition.name, traits: definition.traits, keepsDeadBeacons: true,
         start: async () => ({
           create: async (onState) => {
             const adapter = await definition.create({ path: 'here', pollSeconds: 0.05 }, testContext(onState))
             return { adapter, die: () => adapter.close() }
           },
           backend: {
             stop: async () => renameSync('here', 'away'),
             start: async () => renameSync('away', 'here'),
           },
           close: async () => {},
         }),
       }, { describe, it, beforeAll: before, afterEach, afterAll: after })`,
    )
    const options = { cwd: bench.folder, timeout: 100_000 }
    const run = promisify(execFile)(process.execPath, ['--test', 'my-adapter.test.mjs'], options)
    const { stdout } = await run.catch((error: unknown) => error as { readonly stdout: string })
    expect(stdout).toMatch(/# pass \d{2}|ℹ pass \d{2}/)
    expect(stdout).toMatch(/(#|ℹ) fail 0/)
  }, 120_000)

  it.each([
    ['nowhere.mjs', '', 'there is no such file'],
    ['broken.mjs', 'export default {', 'the module cannot be loaded: '],
    ['throws.mjs', 'throw new Error("no stamps")', 'the module cannot be loaded: no stamps'],
    ['empty.mjs', '', 'it exports no adapter'],
    ['taken.mjs', 'export default { name: "mqtt" }', "'mqtt' is the name of a backend"],
  ])('says in one line what is wrong with %s', async (name, source, reason) => {
    if (name !== 'nowhere.mjs') writeFileSync(join(bench.folder, name), source)
    const { code, stderr } = await bench.run(['--signal', `./${name}`, 'create'])
    expect(code).toBe(2)
    expect(complaints(stderr)).toHaveLength(1)
    expect(stderr).toContain(`--signal: signal: ./${name}: ${reason}`)
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(2)
  })
})
