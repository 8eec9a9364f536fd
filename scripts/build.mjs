// Builds dist/lib, the library with its types, and dist/bin, the command as it starts fast: a small gonet.js, which
// knows its version; command.cjs, all the rest but what few runs need; and what V8 has made of each bundle, NAME.cache
// (scripts/code-cache.mjs).
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { etcdCodecs } from './etcd-codecs.mjs'
import { lateBuiltins } from './late-builtins.mjs'
import { nativePackages } from './native-packages.mjs'

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

/** What most runs do not need: in bundles of its own, so that it need not be read. */
const seldomNeeded = {
  '@hyperswarm/dht': 'dht',
  aedes: 'aedes',
  axios: 'axios',
  'etcd3/lib/connection-pool.js': 'etcd',
  'mqtt/lib/connect/ws': 'mqtt-websocket',
  pino: 'pino',
  yaml: 'yaml',
  zod: 'zod',
}
const seldomApart = {
  name: 'seldom-apart',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const isApart = Object.hasOwn(seldomNeeded, path) && importer.startsWith(join(root, 'src'))
      return isApart ? { namespace: 'seldom', path } : undefined
    })
    onLoad({ filter: /./, namespace: 'seldom' }, ({ path }) => ({
      contents: `module.exports = require('./load-cached.cjs')(__dirname, '${seldomNeeded[path]}', require)`,
      resolveDir: join(root, 'scripts'),
    }))
  },
}

/** The bundles export what `require` gives, as Node's own loader would. */
const asRequired = {
  name: 'as-required',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === 'entry-point' ? { namespace: 'required', path } : undefined,
    )
    onLoad({ filter: /./, namespace: 'required' }, ({ path }) => ({
      contents: `module.exports = require('${path}')`,
      resolveDir: root,
    }))
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

/** The thread that computes with passwords, and what makes an interface in a namespace: each a file of its own. */
const programs = {
  'thread-file': {
    source: join(root, 'src', 'node', 'password', 'thread.ts'),
    exported: 'threadFile',
    file: 'password-thread.cjs',
  },
  'child-file': {
    source: join(root, 'src', 'node', 'network', 'namespace-child.ts'),
    exported: 'childFile',
    file: 'namespace-child.cjs',
  },
}
const programsApart = {
  name: 'programs-apart',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\/(thread|child)-file\.js$/ }, ({ path }) => ({
      namespace: 'program',
      path: basename(path, '.js'),
    }))
    onLoad({ filter: /./, namespace: 'program' }, ({ path }) => {
      const { exported, file } = programs[path]
      return { contents: `exports.${exported} = __dirname + '/${file}'` }
    })
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
    // What it calls the system by has a native part, and few modes need it.
    external: ['koffi'],
    define: { __GONET_VERSION__: JSON.stringify(version) },
    logLevel: 'warning',
  }
  /** As scripts/load-cached.cjs calls it. */
  const cached = {
    banner: { js: '(function(exports,require,module,__filename,__dirname){' },
    footer: { js: '})' },
    alias: nodesOwn,
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
      ...cached,
      plugins: [seldomApart, importsApart, programsApart, lateBuiltins],
    }),
    ...Object.values(programs).map(({ source, file }) =>
      build({ ...common, entryPoints: [source], outfile: join(bin, file) }),
    ),
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
      ...cached,
      plugins: [
        asRequired,
        etcdCodecs,
        lateBuiltins,
        nativePackages(['sodium-native', 'udx-native'], '@hyperswarm/dht', root),
      ],
    }),
  ])
  chmodSync(join(bin, 'gonet.js'), 0o755)
  writeFileSync(join(bin, 'package.json'), '{ "type": "commonjs" }\n')
  try {
    await promisify(execFile)(process.execPath, [join(root, 'scripts', 'code-cache.mjs'), bin])
  } catch (error) {
    // Where nothing may listen on loopback. The command is the same without, only slower to start.
    process.stderr.write(`the caches of dist/bin were not made: ${error.stderr || error.message}\n`)
  }
}
