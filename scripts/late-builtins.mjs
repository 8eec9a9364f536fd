// For bundles: modules of Node's own are loaded where something of them is first used, not where they are imported.
// Each takes up to some ms, and most runs use few.

/** Those that are plain objects of functions and classes: what else there is may be called, or extended. */
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
      // Behind a prototype, since what esbuild makes of an import copies the object's own properties.
      contents: `
        let loaded
        const get = (_, name) => (name === '__esModule' ? undefined : (loaded ??= require('${path}'))[name])
        module.exports = Object.create(new Proxy({}, { get }))`,
    }))
  },
}
