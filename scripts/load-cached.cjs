// Loads a bundle of dist/bin with what V8 made of it at the build. A V8 of another version or with other flags refuses
// that, and compiles anew.
const { readFileSync } = require('node:fs')
const vm = require('node:vm')

/** @returns what NAME.cjs in a folder exports; NAME.cache, beside it, may be absent */
module.exports = function loadCached(folder, name, parent) {
  const file = `${folder}/${name}.cjs`
  // esbuild writes ASCII only.
  const source = readFileSync(file, 'latin1')
  const script = new vm.Script(source, { filename: file, cachedData: readCache(`${folder}/${name}.cache`) })
  const loaded = { exports: {} }
  script.runInThisContext()(loaded.exports, parent, loaded, file, folder)
  return loaded.exports
}

function readCache(file) {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}
