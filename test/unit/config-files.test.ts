import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { registry } from '../../src/adapters/index.js'
import { configJsonSchema } from '../../src/node/config/json-schema.js'
import { type LoadedConfig, loadConfig } from '../../src/node/config/load-config.js'
import { type AdapterSchemas, configSchema } from '../../src/node/config/schema.js'
import { leafPaths } from '../../src/node/config/schema-shape.js'

const folder = join(import.meta.dirname, '..', '..', 'config')
const adapterSchemas: AdapterSchemas = new Map(
  Array.from(registry, ([name, definition]) => [name, definition.options]),
)

function load(file?: string): Promise<LoadedConfig> {
  // The folder has no gonet.yaml, so that without a file there are only defaults.
  return loadConfig({ file, environment: { HOME: folder }, cwd: folder, adapterSchemas })
}

describe('config/default.yaml', () => {
  it('says exactly what the defaults are', async () => {
    const { config } = await load('default.yaml')
    expect(config).toEqual((await load()).config)
  })

  it('names every key, those without a default as comments', async () => {
    const { sources } = await load('default.yaml')
    const comments = readFileSync(join(folder, 'default.yaml'), 'utf8')
    const named = (path: readonly string[]): boolean =>
      sources.get(path.join('.'))?.layer === 'file' ||
      new RegExp(`^ *# +${path.at(-1) ?? ''}: \\S`, 'm').test(comments)
    const paths = leafPaths(configSchema(adapterSchemas)).filter(([, adapter]) => adapter !== 'memory')
    expect(paths.filter((path) => !named(path))).toEqual([])
  })
})

describe('config/schema.json', () => {
  it('is what the code generates (npm run schema)', () => {
    const written: unknown = JSON.parse(readFileSync(join(folder, 'schema.json'), 'utf8'))
    expect(written).toEqual(configJsonSchema(adapterSchemas))
  })
})

describe('config/examples', () => {
  const examples = readdirSync(join(folder, 'examples')).filter((name) => name.endsWith('.yaml'))

  it('has the examples that are tested', () => expect(examples).toContain('mqtt.yaml'))

  it.each(examples)('%s is right', async (name) => {
    const { config } = await load(join('examples', name))
    expect(config.signal).toEqual([name.replace(/\.yaml$/, '')])
  })
})
