// Part of dist/bin/gonet.js: loads command.cjs, which lies beside it, with what V8 made of it at the build. A V8 of
// another version or with other flags refuses that, and compiles anew.
const { readFileSync } = require('node:fs')
const { Script } = require('node:vm')

const file = `${__dirname}/command.cjs`
// esbuild writes ASCII only.
const script = new Script(readFileSync(file, 'latin1'), { filename: file, cachedData: readCache() })
script.runInThisContext()(exports, require, module, file, __dirname)

function readCache() {
  try {
    return readFileSync(`${__dirname}/command.cache`)
  } catch {
    return undefined
  }
}
