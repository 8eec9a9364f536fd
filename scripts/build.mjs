// Builds dist/lib, the library with its types, and dist/bin, the command as it starts fast: a small gonet.js, which
// knows its version; command.cjs, all the rest; and command.cache, what V8 has made of it (scripts/code-cache.mjs).
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** The command's first file loads all the rest in the way of scripts/load-command.cjs. */
const restFromCache = {
  name: 'rest-from-cache',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/run\.js$/ }, () => ({ path: join(root, 'scripts', 'load-command.cjs') }))
  },
}

/**
 * What packages bring for browsers and for old versions of Node, which no run needs: Node's streams are the ones
 * that readable-stream copies.
 */
const nodesOwn = {
  'readable-stream': 'node:stream',
  'worker-timers': 'node:timers',
}

/** Libraries of single backends, which stay packages: some have native parts, and most runs need none of them. */
const packages = ['@hyperswarm/dht', 'axios', 'dns-packet', 'etcd3', 'multicast-dns']

/** What most runs do not need: in files of its own, so that they need not be read. */
const seldomNeeded = {
  yaml: 'yaml',
  pino: 'pino',
  aedes: 'aedes',
  'mqtt/lib/connect/ws': 'mqtt-websocket',
  zod: 'zod',
}
const seldomApart = {
  name: 'seldom-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const file = Object.hasOwn(seldomNeeded, path) ? seldomNeeded[path] : undefined
      const isOurs = importer.startsWith(join(root, 'src'))
      return file !== undefined && isOurs ? { path: `./${file}.cjs`, external: true } : undefined
    })
  },
}

/** What imports users' modules, which are no part of the command: there an import stays one. */
const imports = join(root, 'src', 'node', 'import-module.ts')
const importsApart = {
  name: 'imports-apart',
  setup({ onResolve }) {
    const filter = /\/import-module\.js$/
    onResolve({ filter }, () => ({ path: './import-module.cjs', external: true }))
  },
}

rmSync(dist, { recursive: true, force: true })
const results = await Promise.allSettled([buildLibrary(), buildCommand()])
const failures = results.filter(({ status }) => status === 'rejected')
for (const { reason } of failures) process.stderr.write(`${reason.stdout || reason.message}\n`)
if (failures.length > 0) process.exit(1)

async function buildLibrary() {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root })
  const entry = join(dist, 'lib', 'index.js')
  if (!existsSync(entry)) throw new Error(`${entry} was not made`)
}

async function buildCommand() {
  const bin = join(dist, 'bin')
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    // CommonJS starts faster, by Node's loader of ES modules.
    format: 'cjs',
    // Commands and backends run when they are imported, out of the same file.
    supported: { 'dynamic-import': false },
    minifySyntax: true,
    minifyWhitespace: true,
    // A third less to read at each start. Errors have names of their own, and dist/lib keeps all others.
    minifyIdentifiers: true,
    define: { __GONET_VERSION__: JSON.stringify(version) },
    external: packages,
    logLevel: 'warning',
  }
  await Promise.all([
    build({
      ...common,
      entryPoints: [join(root, 'src', 'cli', 'main.ts')],
      outfile: join(bin, 'gonet.js'),
      plugins: [restFromCache],
    }),
    build({
      ...common,
      entryPoints: [join(root, 'src', 'cli', 'run.ts')],
      outfile: join(bin, 'command.cjs'),
      banner: { js: '(function(exports,require,module,__filename,__dirname){' },
      footer: { js: '})' },
      alias: nodesOwn,
      plugins: [seldomApart, importsApart],
    }),
    build({
      ...common,
      entryPoints: [imports],
      outfile: join(bin, 'import-module.cjs'),
      supported: {},
    }),
    build({
      ...common,
      entryPoints: Object.entries(seldomNeeded).map(([path, out]) => ({ in: path, out })),
      outdir: bin,
      outExtension: { '.js': '.cjs' },
      alias: nodesOwn,
    }),
  ])
  chmodSync(join(bin, 'gonet.js'), 0o755)
  writeFileSync(join(bin, 'package.json'), '{ "type": "commonjs" }\n')
  try {
    await promisify(execFile)(process.execPath, [join(root, 'scripts', 'code-cache.mjs'), bin])
  } catch (error) {
    // Where nothing may listen on loopback. The command is the same without, only slower to start.
    process.stderr.write(`dist/bin/command.cache was not made: ${error.stderr || error.message}\n`)
  }
}
