// Generates config/schema.json, which editors check gonet.yaml files against, from the code's own schema.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'config', 'schema.json')
const folder = mkdtempSync(join(tmpdir(), 'gonet-schema-'))
try {
  const bundle = join(folder, 'schema.mjs')
  await build({
    stdin: {
      contents: `
        import { adapterSchemas } from './src/node/adapter-schemas.js'
        import { configJsonSchema } from './src/node/config/json-schema.js'
        export const schema = configJsonSchema(adapterSchemas)`,
      resolveDir: root,
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    outfile: bundle,
    logLevel: 'error',
  })
  const { schema } = await import(pathToFileURL(bundle).href)
  const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome')
  const formatted = execFileSync(process.execPath, [biome, 'format', `--stdin-file-path=${target}`], {
    input: JSON.stringify(schema, null, 2),
    cwd: root,
  })
  writeFileSync(target, formatted)
} finally {
  rmSync(folder, { recursive: true })
}
