// For bundles: packages with native parts stay packages, each found as the package that uses it would find it, since
// there may be several versions of one.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'

/**
 * @param natives names of packages
 * @param from the package of the bundle's entry, which the bundle's user has
 * @param root the folder that it is found from
 */
export function nativePackages(natives, from, root) {
  return {
    name: 'native-packages',
    setup({ onLoad, onResolve }) {
      const filter = new RegExp(`^(${natives.join('|')})$`)
      onResolve({ filter }, ({ path, resolveDir }) => ({
        namespace: 'native-package',
        path: [...chainTo(packageOf(resolveDir), from, root), path].join('>'),
      }))
      onLoad({ filter: /./, namespace: 'native-package' }, ({ path }) => ({
        contents: `
          const { createRequire } = require('node:module')
          let from = require
          const names = ${JSON.stringify(path.split('>'))}
          const last = names.pop()
          for (const name of names) from = createRequire(from.resolve(name))
          module.exports = from(last)`,
        resolveDir: root,
      }))
    },
  }
}

/** The names by which one package leads to another, the first one's included. */
function chainTo(wanted, from, root) {
  const seen = new Set()
  const queue = [{ chain: [from], require: createRequire(join(root, 'package.json')) }]
  for (const { chain, require } of queue) {
    const main = require.resolve(chain.at(-1))
    // A module of Node's own name.
    if (!isAbsolute(main)) continue
    const folder = packageOf(dirname(main))
    if (folder === wanted) return chain
    if (seen.has(folder)) continue
    seen.add(folder)
    const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    for (const name of Object.keys(dependencies)) {
      queue.push({ chain: [...chain, name], require: createRequire(main) })
    }
  }
  throw new Error(`no way from ${from} to ${wanted}`)
}

function packageOf(folder) {
  for (let at = folder; ; at = dirname(at)) {
    if (/(^|\/)node_modules(\/@[^/]+)?$/.test(dirname(at))) return at
    if (at === dirname(at)) throw new Error(`${folder} is in no package`)
  }
}
