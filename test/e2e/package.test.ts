/** The package as `npm install` puts it elsewhere: it runs, its types compile, and nothing in it is left over. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

let folder: string
let installed: string
let tarball: string

/** Runs a tool of this project. @returns what it prints; throws with it where it fails */
async function tool(path: string, args: readonly string[], cwd = root): Promise<string> {
  const { stdout, stderr } = await run(process.execPath, [join(root, 'node_modules', path), ...args], {
    cwd,
    maxBuffer: 16 * 1024 * 1024,
  })
  return stdout + stderr
}

describe('the package', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gonet-package-'))
    // Its own scripts would build again what is tested here.
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root })
    tarball = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz'))!)
    installed = join(folder, 'node_modules', 'gonet')
    mkdirSync(installed, { recursive: true })
    await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1'])
    await linkDependencies()
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('has what its users need, and nothing else', () => {
    const files = readdirSync(installed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(installed, join(entry.parentPath, entry.name)))
    expect(new Set(files.map((file) => file.split('/')[0]))).toEqual(
      new Set(['CHANGELOG.md', 'LICENSE', 'README.md', 'config', 'dist', 'docs', 'package.json']),
    )
    expect(files).toContain(join('dist', 'lib', 'index.d.ts'))
    expect(files).toContain(join('config', 'default.yaml'))
    expect(files.filter((file) => /\.test\.|\.sources$|^dist\/api/.test(file))).toEqual([])
  })

  it('runs the command without the packages that only its makers need', async () => {
    const gonet = join(installed, 'dist', 'bin', 'gonet.js')
    expect((await run(process.execPath, [gonet, '--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    const demo = await run(process.execPath, [gonet, 'demo'], { cwd: folder })
    expect(demo.stdout).toMatch(/both lines arrived\n$/)
  }, 40_000)

  it('is used from JavaScript and from TypeScript, with types that compile strictly', async () => {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    const program = `import { createRoom, joinRoom, UsageError } from 'gonet'
try { await joinRoom('nonsense') } catch (error) { console.log(error instanceof UsageError, typeof createRoom) }
`
    writeFileSync(join(folder, 'use.mjs'), program)
    const { stdout } = await run(process.execPath, [join(folder, 'use.mjs')], { cwd: folder })
    expect(stdout).toBe('true function\n')
    writeFileSync(
      join(folder, 'use.ts'),
      `import { createRoom, joinRoom, type Room, type RoomEvent } from 'gonet'
const room: Room = await createRoom({ signal: ['mqtt'], network: { mtu: 1280 } })
for await (const event of room.events) {
  const known: RoomEvent = event
  if (known.event === 'message') console.log(known.from.length, known.text.length)
  // @ts-expect-error there is no such event
  if (known.event === 'massage') break
}
await (await joinRoom(room.id, { timeoutMs: 1000 })).leave()
`,
    )
    const compilerOptions = {
      target: 'ES2023',
      module: 'NodeNext',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      types: ['node'],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }))
    mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true })
    const types = join('node_modules', '@types', 'node')
    if (!existsSync(join(folder, types))) symlinkSync(join(root, types), join(folder, types))
    expect(await tool('typescript/bin/tsc', ['-p', folder], folder)).toBe('')
  }, 60_000)

  it('passes publint and arethetypeswrong', async () => {
    expect(await tool('publint/src/cli.js', ['run', tarball, '--strict'])).toContain('All good!')
    await tool('@arethetypeswrong/cli/dist/index.js', [tarball, '--profile', 'esm-only'])
  }, 60_000)

  it('documents everything that it exports', async () => {
    await tool('typedoc/bin/typedoc', ['--out', join(folder, 'docs')])
  }, 60_000)
})

/** What `npm install gonet` would install, as links to where it is already: no test asks a registry. */
async function linkDependencies(): Promise<void> {
  const { stdout } = await run('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root })
  const modules = join(root, 'node_modules')
  for (const path of stdout.split('\n')) {
    const name = relative(modules, path)
    // Nested ones come with those that they are in.
    if (path === '' || name.startsWith('..') || name.includes('node_modules')) continue
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(path, link)
  }
}
