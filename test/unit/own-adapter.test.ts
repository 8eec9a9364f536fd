import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AdapterContext, AdapterDefinition } from '../../src/adapters/adapter-definition.js'
import { GonetError, SignallingError, UsageError } from '../../src/core/errors.js'
import type { SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { createRoom, type OwnAdapterDefinition } from '../../src/index.js'
import { adapterSchemas } from '../../src/node/adapter-schemas.js'
import { compose } from '../../src/node/composition.js'
import { ConfigError } from '../../src/node/config/config-error.js'
import { type ConfigInput, type LoadedConfig, loadConfig } from '../../src/node/config/load-config.js'
import { checkOwnAdapter } from '../../src/node/own-adapter.js'
import { ShieldedAdapter } from '../../src/node/shielded-adapter.js'
import { testContext } from '../../src/testing/index.js'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gonet-own-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const Traits = `{
  maxRecordBytes: 8192, delivery: 'push', typicalLatencyMs: 1, retracts: true, expires: true,
  standing: { host: true, join: true, reply: true }, needsCredentials: false,
}`
let modules = 0
/** @param changes to the definition, as source text */
function moduleOf(changes = '', how = 'export default', name = 'post'): string {
  modules += 1
  const file = `module${modules}.${how.startsWith('module') ? 'cjs' : 'mjs'}`
  const source = `${how} {
    name: '${name}', description: 'by post', traits: ${Traits},
    options: (zod) => zod.strictObject({ url: zod.string(), stamps: zod.int().default(3) }),
    create: async () => ({}), loopbackOnly: ({ url }) => url.includes('localhost'), ${changes}
  }`
  writeFileSync(join(folder, file), source)
  return file
}

const load = (input: Partial<ConfigInput>): Promise<LoadedConfig> =>
  loadConfig({ environment: { HOME: folder }, cwd: folder, adapterSchemas, file: false, ...input })
const problemsOf = async (input: Partial<ConfigInput>): Promise<string> => {
  const error = await load(input).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(ConfigError)
  return (error as ConfigError).message
}
const url = 'adapters.post.url=http://localhost'

describe('a module that signal names', () => {
  it.each([
    ['by default', 'export default'],
    ['as `definition`', 'export const definition ='],
    ['from CommonJS', 'module.exports ='],
    ['from CommonJS as `definition`', 'module.exports.definition ='],
  ])('may export its adapter %s', async (_, how) => {
    const file = moduleOf('', how)
    const { config, ownAdapters } = await load({ flags: { signal: ['mqtt', `./${file}`] }, set: [url] })
    expect(config.signal).toEqual(['mqtt', 'post'])
    expect(config.adapters['post']).toEqual({ url: 'http://localhost', stamps: 3 })
    expect([...ownAdapters.keys()]).toEqual(['post'])
  })

  it('is found beside the file that names it, or where gonet was started', async () => {
    const file = moduleOf()
    writeFileSync(join(folder, 'gonet.yaml'), `signal: [mqtt, ./${file}]\nadapters: { post: { url: x } }\n`)
    const fromFile = await load({ file: join(folder, 'gonet.yaml'), cwd: '/' })
    expect(fromFile.config.signal).toEqual(['mqtt', 'post'])
    expect(fromFile.sources.get('adapters.post.url')?.line).toBe(2)
    for (const input of [
      { set: [`signal=./${file}`, url] },
      { set: [`signal=[mqtt, ${file}]`, url] },
      {
        environment: {
          HOME: folder,
          GONET_SET_SIGNAL: join(folder, file),
          GONET_SET_ADAPTERS__POST__URL: 'x',
        },
      },
    ]) {
      expect((await load(input)).config.signal.at(-1)).toBe('post')
    }
  })

  it('has its options checked by its own schema', async () => {
    const signal = [moduleOf()]
    expect(await problemsOf({ flags: { signal } })).toContain('adapters.post.url: expected a text')
    expect(await problemsOf({ flags: { signal }, set: [url, 'adapters.post.stamps=many'] })).toBe(
      '--set adapters.post.stamps: adapters.post.stamps: expected a number, found a text',
    )
    expect(await problemsOf({ flags: { signal }, set: [url, 'adapters.post.stamp=1'] })).toContain(
      "did you mean 'adapters.post.stamps'?",
    )
  })

  it('is loaded only where it is named', async () => {
    moduleOf('', 'globalThis.wasLoaded = true; export default')
    await load({})
    expect('wasLoaded' in globalThis).toBe(false)
    expect(await problemsOf({ set: [url] })).toContain('adapters.post: unknown key')
  })

  const bad = [
    ['is missing', () => 'nowhere.mjs', /there is no such file$/],
    [
      'throws',
      () => moduleOf('', 'throw new Error("no\\nstamps"); export default'),
      /cannot be loaded: no stamps$/,
    ],
    ['is no JavaScript', () => moduleOf('', 'export export'), /the module cannot be loaded: /],
    ['exports nothing', () => moduleOf('', 'export const other ='), /exports no adapter/],
    [
      'exports a number',
      () => moduleOf('', 'export default 5; const rest ='),
      /what it exports is not a definition$/,
    ],
    ['has no name', () => moduleOf('name: undefined'), /`name` is not 1 to 16 letters a–z$/],
    ['has a wrong name', () => moduleOf('', 'export default', 'Post1'), /`name` is not/],
    [
      'takes the name of a backend',
      () => moduleOf('', 'export default', 'mqtt'),
      /'mqtt' is the name of a backend/,
    ],
    ['has no traits', () => moduleOf('traits: undefined'), /`traits` is missing$/],
    ['takes too little', () => moduleOf(`traits: { ...${Traits}, maxRecordBytes: 100 }`), /at least 4608$/],
    [
      'forgets a box',
      () => moduleOf(`traits: { ...${Traits}, standing: {} }`),
      /`traits.standing.host` is not true/,
    ],
    [
      'forgets a trait',
      () => moduleOf(`traits: { ...${Traits}, retracts: 1 }`),
      /`traits.retracts` is not true/,
    ],
    ['cannot create', () => moduleOf('create: 5'), /`create` is not a function$/],
    ['has no schema', () => moduleOf('options: {}'), /`options` is not the schema of an object, of Zod 4$/],
    [
      'has a schema of a text',
      () => moduleOf('options: (zod) => zod.string()'),
      /`options` is not the schema/,
    ],
    ['has a schema that fails', () => moduleOf('options: (zod) => zod.nothing()'), /`options` fails: /],
  ] as const
  it.each(bad)('is refused in one line where it %s', async (_, make, pattern) => {
    const file = make()
    const text = await problemsOf({ flags: { signal: [file] } })
    expect(text).toMatch(pattern)
    expect(text).toMatch(new RegExp(`^--signal: signal: ${file}: [^\\n]*$`))
  })

  it('is refused where another has its name, and where it is named twice', async () => {
    const [first, second] = [moduleOf(), moduleOf()]
    expect(await problemsOf({ flags: { signal: [first, second] } })).toContain(
      "another module is called 'post' too",
    )
    expect(await problemsOf({ flags: { signal: [first, `./${first}`] }, set: [url] })).toContain(
      'named twice',
    )
  })

  it('is composed like any other', async () => {
    const { config, ownAdapters } = await load({ flags: { signal: [moduleOf()] }, set: [url] })
    const { logger } = testContext()
    const { allLoopback, adapters } = compose(config, logger, ownAdapters)
    expect(allLoopback).toBe(true)
    const ignore = (): void => undefined
    expect(adapters(ignore, ignore).map(({ name }) => name)).toEqual(['post'])
  })
})

describe('a program', () => {
  it('may bring an adapter of its own', async () => {
    const seen: unknown[] = []
    const { traits } = await checkOwnAdapter(
      ((await import(join(folder, moduleOf()))) as { default: unknown }).default,
    )
    const own: OwnAdapterDefinition = {
      name: 'post',
      description: 'by post',
      traits,
      options: (zod) => zod.strictObject({ url: zod.string() }),
      create: (options: unknown, context: AdapterContext) => {
        seen.push(options)
        const done = (): Promise<void> => Promise.resolve()
        const open = (): Promise<void> => {
          context.onState({ state: 'up' })
          return done()
        }
        const adapter = { name: 'post', traits, open, publish: done, retract: done, watch: done, close: done }
        return Promise.resolve(adapter)
      },
      loopbackOnly: () => true,
    }
    const adapters = { post: { url: 'x' } } as const
    const room = await createRoom({ signal: [own], adapters, state: join(folder, 'state') })
    await room.leave()
    expect(seen).toEqual([{ url: 'x' }])
    const wrong = createRoom({ signal: [{ ...own, name: 'mqtt' }], adapters, state: join(folder, 'state') })
    await expect(wrong).rejects.toThrow(/^signal\[0\]: 'mqtt' is the name/)
    await expect(wrong).rejects.toThrow(UsageError)
  })
})

describe('what an own adapter does wrong', () => {
  const never = new AbortController().signal
  const record: SignalRecord = {
    topic: 't',
    box: 'host',
    sender: 'a',
    bytes: Uint8Array.of(1),
    expiresInMs: 1,
  }
  const shielded = async (parts: Partial<SignallingAdapter>): Promise<SignallingAdapter> => {
    const { traits } = await checkOwnAdapter(
      ((await import(join(folder, moduleOf()))) as { default: AdapterDefinition }).default,
    )
    return new ShieldedAdapter('post', traits, { name: 'post', traits, ...parts } as SignallingAdapter)
  }
  const failing = async (error: unknown): Promise<unknown> => {
    const adapter = await shielded({
      publish: () => {
        throw error
      },
    })
    return adapter.publish(record, never).catch((reason: unknown) => reason)
  }

  it('is told in our own errors', async () => {
    expect(await failing(new TypeError('oops'))).toEqual(
      new SignallingError('own-adapter-failed', 'post: oops', { cause: new TypeError('oops') }),
    )
    expect(await failing(undefined)).toMatchObject({ code: 'own-adapter-failed' })
    expect(await failing(Object.assign(new Error('full'), { code: 'ENOSPC' }))).toMatchObject({
      code: 'own-adapter-failed',
    })
    const known = await failing(Object.assign(new Error('too large'), { code: 'record-too-large' }))
    expect(known).toBeInstanceOf(SignallingError)
    expect(known).toMatchObject({ code: 'record-too-large', message: 'too large' })
    const usage = await failing(
      Object.assign(new Error('url'), { code: 'post-url-wrong', name: 'UsageError' }),
    )
    expect(usage).toBeInstanceOf(UsageError)
    const own = new GonetError('mine', 'mine')
    expect(await failing(own)).toBe(own)
  })

  it('does not hold up whoever leaves', async () => {
    const adapter = await shielded({
      publish: () => new Promise(() => undefined),
      close: () => new Promise(() => undefined),
    })
    const abort = new AbortController()
    const reason = new Error('left')
    const published = adapter.publish(record, abort.signal)
    abort.abort(reason)
    await expect(published).rejects.toBe(reason)
    const startedAt = performance.now()
    await Promise.all([adapter.close(), adapter.close()])
    expect(performance.now() - startedAt).toBeLessThan(4000)
    await (await shielded({ close: () => Promise.reject(new Error('no')) })).close()
  })

  it('is not let in as a record', async () => {
    const seen: SignalRecord[] = []
    const adapter = await shielded({
      watch: (_topic, _box, onRecord) => {
        onRecord({ ...record, sender: '../x' })
        onRecord({ ...record, bytes: 'text' as unknown as Uint8Array })
        onRecord({ ...record, bytes: new Uint8Array(8193) })
        onRecord({ ...record, expiresInMs: Number.NaN })
        onRecord({ ...record, topic: 'other', box: 'join' })
        return Promise.resolve()
      },
    })
    await adapter.watch('t', 'host', (each) => void seen.push(each), never)
    expect(seen).toEqual([record])
  })
})
