/** The house rules that a compiler does not check: who may import whom, and that no backend is forgotten. */
import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { registry } from '../src/adapters/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What the files of a room may import from other rooms: folders or files below src, without `.ts`. */
const Rooms: Readonly<Record<string, readonly string[]>> = {
  core: [],
  adapters: ['core'],
  transports: ['core/machine', 'core/errors', 'core/ports', 'core/bounded'],
  chat: ['core'],
  room: ['core', 'transports', 'chat'],
  node: ['core', 'adapters', 'transports', 'chat', 'room'],
  cli: ['core', 'adapters', 'transports', 'chat', 'room', 'node', 'index'],
  testing: ['core', 'adapters/adapter-definition'],
  index: ['core', 'adapters/adapter-definition', 'room', 'node'],
}

/** Rooms without I/O. */
const Pure: readonly string[] = ['core', 'transports', 'chat', 'room']

/** Libraries that transports may use: pure ones. */
const TransportLibraries: readonly string[] = ['ipaddr.js', '@noble/hashes']

const Composition = 'node/composition'

/** What is wrong with a source file's imports. `path` is below src, such as `core/host.ts`. */
function violations(path: string, source: string): string[] {
  const from = path.replace(/\.ts$/, '')
  const [room = ''] = from.split('/')
  const allowed = Rooms[room]
  if (allowed === undefined) return [`${path}: src/${room} is no room of the house`]
  return ts.preProcessFile(source).importedFiles.flatMap(({ fileName: imported }) => {
    const problem = imported.startsWith('.')
      ? insideProblem(from, room, allowed, imported)
      : outsideProblem(from, room, imported)
    return problem === undefined ? [] : [`${path}: imports ${imported}: ${problem}`]
  })
}

function insideProblem(
  from: string,
  room: string,
  allowed: readonly string[],
  imported: string,
): string | undefined {
  const target = normalize(join(dirname(from), imported)).replace(/\.js$/, '')
  if (target.startsWith('..')) return 'outside src'
  if (target.split('/')[0] !== room) {
    return isWithin(target, allowed)
      ? undefined
      : `${room} may import ${allowed.join(', ') || 'nothing else'}`
  }
  return undefined
}

function outsideProblem(from: string, room: string, imported: string): string | undefined {
  if (imported === 'inversify' && from !== Composition) return `only src/${Composition}.ts composes`
  if (isBuiltin(imported)) {
    if (Pure.includes(room)) return `${room} does no I/O`
    return imported.startsWith('node:') ? undefined : 'write it with node:'
  }
  if (room === 'transports' && !isWithin(imported, TransportLibraries)) return 'not a pure library'
  return undefined
}

/** Whether a path is one of these files or folders, or inside one. */
function isWithin(path: string, places: readonly string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`))
}

function sourceFiles(): { path: string; source: string }[] {
  const folder = join(root, 'src')
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(folder, path), source: readFileSync(path, 'utf8') }))
}

describe('imports', () => {
  it('run one way', () => {
    expect(sourceFiles().flatMap(({ path, source }) => violations(path, source))).toEqual([])
  })

  it.each([
    ['core/host.ts', "import { mqtt } from '../adapters/mqtt.js'"],
    ['core/host.ts', "import { readFileSync } from 'node:fs'"],
    ['core/host.ts', "import { readFileSync } from 'fs'"],
    ['chat/log.ts', "import type { Paths } from '../transports/path/paths.js'"],
    ['chat/log.ts', "export * from '../room/room.js'"],
    ['transports/stun/client.ts', "import { Identity } from '../../core/identity.js'"],
    ['transports/stun/client.ts', "const { z } = await import('zod')"],
    ['transports/ip/stack.ts', "import '../../chat/log.js'"],
    ['adapters/mqtt.ts', "import { Paths } from '../transports/path/paths.js'"],
    ['room/host-room.ts', "import { Driver } from '../node/driver.js'"],
    ['room/host-room.ts', "let clock: import('../node/clock.js').SystemClock"],
    ['node/driver.ts', "import { main } from '../cli/main.js'"],
    ['node/driver.ts', "import { Container } from 'inversify'"],
    ['index.ts', "import { parse } from './cli/arguments.js'"],
    ['node/driver.ts', "import { it } from '../../test/sim/network.js'"],
    ['helpers/everything.ts', "import 'node:fs'"],
  ])('are reported where they do not: %s: %s', (path, source) => {
    expect(violations(path, source)).toHaveLength(1)
  })

  it.each([
    ['core/host.ts', "import { GonetError } from './errors.js'"],
    ['transports/wireguard/device.ts', "import type { Machine } from '../../core/machine.js'"],
    ['transports/wireguard/macs.ts', "import { blake2s } from '@noble/hashes/blake2.js'"],
    ['room/host-room.ts', "import { ChatLog } from '../chat/log.js'"],
    ['node/composition.ts', "import { Container } from 'inversify'"],
    ['cli/commands/create.ts', "import { createRoom } from '../../index.js'"],
    ['core/host.ts', "// import 'node:fs' stands in a comment only"],
  ])('are fine where they do: %s: %s', (path, source) => {
    expect(violations(path, source)).toEqual([])
  })
})

describe('each backend', () => {
  /** What backends share. */
  const shared = ['adapter-definition', 'index', 'shared', 'waiting']
  /** For tests and for programs that have both sides in one process: nothing for users to choose. */
  const internal = ['memory']
  const names = readdirSync(join(root, 'src', 'adapters'))
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) => !shared.includes(name))

  it('that users can choose is in the registry', () => {
    expect([...registry.keys()].sort()).toEqual(names.filter((name) => !internal.includes(name)).sort())
    for (const [name, definition] of registry) expect(definition.name).toBe(name)
  })

  it.each(names)('%s passes the shared suite', (name) => {
    const test = readFileSync(join(root, 'test', 'contract', `${name}.test.ts`), 'utf8')
    expect(test).toContain("'./signalling-adapter.js'")
  })

  it.each([...registry.keys()])('%s has a row in the table that helps to choose', (name) => {
    expect(readFileSync(join(root, 'docs', 'adapters.md'), 'utf8')).toMatch(
      new RegExp(`^\\| \`${name}\` \\|`, 'm'),
    )
  })

  it.each([...registry.keys()])('%s has an example for its users', (name) => {
    expect(readFileSync(join(root, 'config', 'examples', `${name}.yaml`), 'utf8')).toContain(name)
  })
})
