// Builds dist/lib, the library with its types, and dist/bin, the command in as few files as start fast.
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/**
 * `await import('yaml')` has yaml's exports by name, as in Node. By itself esbuild gives a CommonJS package that is
 * imported so no names, only a default export.
 */
const namesOfLazyPackages = {
  name: 'names-of-lazy-packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      return kind === 'dynamic-import' && !isBuiltin(path) ? { path, namespace: 'lazy' } : undefined
    })
    onLoad({ filter: /.*/, namespace: 'lazy' }, async ({ path }) => {
      const names = Object.keys(await import(path)).filter((name) => /^[\w$]+$/.test(name))
      const values = names.map((name, index) => `const value${index} = whole[${JSON.stringify(name)}]`)
      const exported = names.map((name, index) => `value${index} as ${name}`)
      const contents = `import * as whole from ${JSON.stringify(path)}\n${values.join('\n')}\nexport { ${exported} }`
      return { contents, resolveDir: root }
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
  await build({
    entryPoints: { gonet: join(root, 'src', 'cli', 'main.ts') },
    outdir: join(dist, 'bin'),
    absWorkingDir: root,
    bundle: true,
    // Commands and backends are imported when they are used: each in a file of its own.
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minifySyntax: true,
    minifyWhitespace: true,
    define: { __GONET_VERSION__: JSON.stringify(version) },
    // CommonJS packages call require, which ES modules lack.
    banner: {
      js: "import{createRequire as __gonetCreateRequire}from'node:module';const require=__gonetCreateRequire(import.meta.url);",
    },
    plugins: [namesOfLazyPackages],
    logLevel: 'warning',
  })
  chmodSync(join(dist, 'bin', 'gonet.js'), 0o755)
}
