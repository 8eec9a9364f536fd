// For bundles: modules of Node's own are loaded where something of them is first used, not where they are imported.
// Each takes up to some ms, and most runs use few.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** Those that are more than an object of functions and classes, which may be gathered as one, stay as they are. */
const Late = [
  'child_process',
  'dgram',
  'dns',
  'dns/promises',
  'fs/promises',
  'http',
  'https',
  'net',
  'os',
  'perf_hooks',
  'readline',
  'timers/promises',
  'tls',
  'tty',
  'worker_threads',
  'zlib',
]

export const lateBuiltins = {
  name: 'late-builtins',
  setup({ onLoad, onResolve }) {
    const filter = new RegExp(`^(node:)?(${Late.join('|')})$`)
    onResolve({ filter }, ({ namespace, path }) =>
      namespace === 'late-builtin' ? { external: true } : { namespace: 'late-builtin', path },
    )
    onLoad({ filter: /./, namespace: 'late-builtin' }, ({ path }) => ({
      contents: `
        let loaded
        const load = () => (loaded ??= require('${path}'))
        for (const name of ${JSON.stringify(Object.getOwnPropertyNames(require(path)))})
          Object.defineProperty(exports, name, { enumerable: true, get: () => load()[name] })`,
    }))
  },
}
