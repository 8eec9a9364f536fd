/** What docs/adapters.md and config/examples tell users to type and to write: taken from there, and tried. */
import { execFile } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { GlobalOptions } from '../../src/cli/global-options.js'
import { LaterCommands } from '../../src/cli/later.js'
import { parseListen } from '../../src/cli/listen.js'
import { makeProgram } from '../../src/cli/program.js'
import { adapterSchemas } from '../../src/node/adapter-schemas.js'
import { loadConfig } from '../../src/node/config/load-config.js'
import { configSchema } from '../../src/node/config/schema.js'
import { leafPaths } from '../../src/node/config/schema-shape.js'
import { checkConfig } from '../../src/node/config/show-config.js'
import { loadOwnAdapter } from '../../src/node/own-adapter.js'
import { testContext } from '../../src/testing/index.js'
import { chapter, commandLines, commandsInSentences, fencedBlocks } from './docs-examples.js'
import { Workbench } from './workbench.js'

const root = join(import.meta.dirname, '../..')
const examples = join(root, 'config', 'examples')
const text = readFileSync(join(root, 'docs', 'adapters.md'), 'utf8')
const ownAdapter = chapter(text, 'Write your own adapter')

let bench: Workbench
beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

interface Parsed {
  /** With its parents, such as `serve mqtt`. */
  readonly command: string
  readonly options: GlobalOptions
  readonly listen: string | undefined
}

/** Reads arguments as the command does, and does nothing of what they say. */
async function parsed(args: readonly string[], { isLenient = false } = {}): Promise<Parsed> {
  const program = makeProgram('0.0.0', () => undefined)
  let called: Omit<Parsed, 'options'> | undefined
  const disarm = (command: Command, path: readonly string[]): void => {
    for (const child of command.commands) {
      const names = [...path, child.name()]
      if (isLenient) for (const argument of child.registeredArguments) argument.argOptional()
      child.action(() => {
        const { listen } = child.opts<{ readonly listen?: string }>()
        called = { command: names.join(' '), listen }
      })
      disarm(child, names)
    }
  }
  disarm(program, [])
  await program.parseAsync(args, { from: 'user' })
  return { command: '', listen: undefined, ...called, options: program.opts<GlobalOptions>() }
}

const check = ({ set = [], signal, name }: Partial<GlobalOptions>): ReturnType<typeof checkConfig> =>
  checkConfig({ file: false, set, flags: { signal, name }, environment: {}, cwd: examples, adapterSchemas })

describe('the commands of docs/adapters.md', () => {
  const [lines, inSentences] = [commandLines(text), commandsInSentences(text)]

  it('are found', () => {
    expect(lines).toContain('gonet --set adapters.mqtt.url=mqtt://broker.example:1883 create')
    expect(lines.length).toBeGreaterThanOrEqual(11)
    expect(inSentences).toContain('gonet serve dns gonet.example.org --listen 192.0.2.53:53')
    expect(inSentences.length).toBeGreaterThanOrEqual(7)
  })

  it.each([
    ...lines.map((line) => [line, { isLenient: false }] as const),
    ...inSentences.map((line) => [line, { isLenient: true }] as const),
  ])('%s', async (line, how) => {
    const [, ...args] = line.split(/\s+/)
    const { command, options, listen } = await parsed(args, how)
    // A word that is no command would be a room to join.
    const words = command.split(' ')
    expect(args.filter((arg) => words.includes(arg))).toEqual(words)
    expect(LaterCommands).not.toContain(words[0])
    expect(await check(options)).toMatchObject({ ok: true, problems: [], warnings: [] })
    if (listen !== undefined) parseListen(listen)
  })
})

describe('the options of docs/adapters.md', () => {
  /** Its default is the program's, not the schema's. */
  const ByDialect = 'pastebin.url'
  const schema = configSchema(adapterSchemas)
  const backends = [...adapterSchemas.keys()].filter((name) => name !== 'memory')

  it.each(backends)('%s has those that are named, and no others', (name) => {
    const table = /### Options\n((?:\|.*\n)+)/.exec(chapter(text, name))?.[1] ?? ''
    const rows = table
      .split('\n')
      .slice(2, -1)
      .map((row) => row.split('|').slice(1, 3))
    const named = rows.flatMap(([keys]) => Array.from(keys!.matchAll(/`([^`]+)`/g), ([, key]) => key!))
    const keys = leafPaths(schema).filter(([section, adapter]) => section === 'adapters' && adapter === name)
    expect(named.sort()).toEqual(keys.map((path) => path.slice(2).join('.')).sort())
  })

  it.each(backends)('%s has the defaults that are named', async (name) => {
    const table = /### Options\n((?:\|.*\n)+)/.exec(chapter(text, name))?.[1] ?? ''
    const flags = { signal: [name] }
    const set = name === 'opendht' ? ['adapters.opendht.proxy=http://127.0.0.1:1'] : []
    const { config } = await loadConfig({
      file: false,
      flags,
      set,
      environment: {},
      cwd: examples,
      adapterSchemas,
    })
    const section = (config.adapters as Record<string, Record<string, unknown>>)[name] ?? {}
    for (const row of table.split('\n').slice(2, -1)) {
      const [, keys = '', value = ''] = row.split('|').map((cell) => cell.trim())
      const [, key] = /^`(\w+)`$/.exec(keys) ?? []
      const [, told] = /^`([^`]+)`$/.exec(value) ?? []
      if (key === undefined || told === undefined || `${name}.${key}` === ByDialect) continue
      const is = section[key]
      expect([key, String(Array.isArray(is) ? is.join() : is)]).toEqual([key, told])
    }
  })
})

describe('the configurations of docs/adapters.md and config/examples', () => {
  const blocks = fencedBlocks(text, 'yaml')
  const files = readdirSync(examples).filter((name) => name.endsWith('.yaml'))
  const load = (file: string, set: readonly string[] = []): ReturnType<typeof loadConfig> =>
    loadConfig({ file, set, environment: {}, cwd: bench.folder, adapterSchemas })

  it('are found', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(9)
    expect(files.length).toBeGreaterThanOrEqual(8)
  })

  it.each(blocks.map(({ code, before }) => [code.split('\n')[0]!, code, before] as const))(
    'the block %s is taken',
    async (_first, code, before) => {
      copyFileSync(join(examples, 'my-adapter.mjs'), join(bench.folder, 'my-adapter.mjs'))
      const file = join(bench.folder, 'gonet.yaml')
      writeFileSync(file, code, { mode: 0o600 })
      const { warnings } = await load(file)
      expect(warnings).toEqual([])
      const [, example] = /as in `config\/examples\/([a-z-]+\.yaml)`:\s*$/.exec(before) ?? []
      if (example === undefined) return
      expect(parse(readFileSync(join(examples, example), 'utf8'))).toMatchObject(parse(code) as object)
    },
  )

  it.each(files)('%s is taken, and so is each line that it has as a comment', async (name) => {
    const file = join(examples, name)
    const { config } = await load(file)
    const adapter = config.signal[0]!
    const commented = readFileSync(file, 'utf8').matchAll(/^ *# +([a-z]\w*): (\S.*)$/gm)
    for (const [, key, value] of commented) {
      await expect(load(file, [`adapters.${adapter}.${key}=${value}`])).resolves.toBeDefined()
    }
  })
})

describe('the chapter about adapters of one’s own', () => {
  const [definition, suite, ...more] = fencedBlocks(ownAdapter, 'js').map(({ code }) => code)

  it('has two programs', () =>
    expect([definition, suite, more]).toEqual([expect.any(String), expect.any(String), []]))

  it('has a definition that loads, and makes an adapter', async () => {
    const file = join(bench.folder, 'adapter.mjs')
    writeFileSync(
      file,
      `class FolderAdapter { constructor(options) { this.options = options } }\n${definition}`,
    )
    const loaded = await loadOwnAdapter(file)
    expect(loaded.name).toBe('folder')
    expect(loaded.options._zod.run({ value: { path: 'x' }, issues: [] }, {})).toMatchObject({ issues: [] })
    expect(
      await loaded.create(
        { path: 'x' },
        testContext(() => undefined),
      ),
    ).toMatchObject({ name: 'folder' })
    // It is the example's, in short.
    const { traits } = await loadOwnAdapter(join(examples, 'my-adapter.mjs'))
    expect(loaded.traits).toEqual(traits)
  })

  it('has a suite that the example passes, under node --test', async () => {
    mkdirSync(join(bench.folder, 'node_modules'))
    symlinkSync(root, join(bench.folder, 'node_modules', 'gonet'))
    copyFileSync(join(examples, 'my-adapter.mjs'), join(bench.folder, 'my-adapter.mjs'))
    const shared = join(bench.folder, 'shared')
    mkdirSync(shared)
    const away = `import { renameSync } from 'node:fs'
      const stopServer = () => renameSync(${JSON.stringify(shared)}, ${JSON.stringify(`${shared}.away`)})
      const startServer = () => renameSync(${JSON.stringify(`${shared}.away`)}, ${JSON.stringify(shared)})\n`
    expect(suite).toContain("'/tmp/shared'")
    const program = away + suite!.replace("'/tmp/shared'", JSON.stringify(shared))
    writeFileSync(join(bench.folder, 'my-adapter.test.mjs'), program)
    const options = { cwd: bench.folder, timeout: 100_000 }
    const run = promisify(execFile)(process.execPath, ['--test', 'my-adapter.test.mjs'], options)
    const { stdout } = await run.catch((error: unknown) => error as { readonly stdout: string })
    expect(stdout).toMatch(/(#|ℹ) pass \d{2}/)
    expect(stdout).toMatch(/(#|ℹ) fail 0/)
  }, 120_000)

  it('names types that the package exports', () => {
    const exported = readFileSync(join(root, 'src', 'index.ts'), 'utf8')
    const imports = [...ownAdapter.matchAll(/import type \{ ([^}]+) \} from 'gonet'/g)]
    expect(imports.length).toBeGreaterThan(0)
    for (const [, names] of imports) {
      for (const name of names!.split(', ')) expect(exported).toMatch(new RegExp(`\\b${name}\\b`))
    }
  })
})

it('every file that docs/adapters.md names is there', () => {
  const named = Array.from(text.matchAll(/`((?:src|test|config|docs)\/[\w./-]+)`/g), ([, path]) => path!)
  expect(named.length).toBeGreaterThan(10)
  // `post` stands for the reader's own.
  const missing = named.filter((path) => !/\bpost\b/.test(path) && !existsSync(join(root, path)))
  expect(missing).toEqual([])
})
