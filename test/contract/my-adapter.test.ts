/** The example of docs/adapters.md: a module of a user's, with the suite as its author would run it. */
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadOwnAdapter } from '../../src/node/own-adapter.js'
import { testContext, testSignallingAdapter } from '../../src/testing/index.js'

const module = join(import.meta.dirname, '../../config/examples/my-adapter.mjs')
const definition = await loadOwnAdapter(module)

testSignallingAdapter(
  {
    name: definition.name,
    traits: definition.traits,
    keepsDeadBeacons: true,
    start: async () => {
      const path = await mkdtemp(join(tmpdir(), 'gonet-folder-'))
      const away = `${path}.away`
      return {
        create: async (onState) => {
          const options = { path, pollSeconds: 0.05 }
          const adapter = await definition.create(options, testContext(onState))
          return { adapter, die: () => adapter.close() }
        },
        backend: {
          stop: () => rename(path, away),
          start: () => rename(away, path),
        },
        close: () => rm(path, { recursive: true }),
      }
    },
  },
  { describe, it, beforeAll, afterEach, afterAll },
)

it('is told its options by its own schema', () => {
  expect(definition.options._zod.run({ value: { path: 'x' }, issues: [] }, {})).toMatchObject({
    value: { path: 'x', pollSeconds: 0.3 },
    issues: [],
  })
})
