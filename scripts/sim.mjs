// Runs the room that everything happens to under many seeds, and a large one: npm run sim [seeds], 1000 by default.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/sim/chaos.test.ts', 'test/sim/many-guests.test.ts'],
  {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: {
      ...process.env,
      GONET_SEEDS: process.argv[2] ?? process.env.GONET_SEEDS ?? '1000',
      GONET_GUESTS: '200',
    },
    stdio: 'inherit',
  },
)
process.exitCode = status ?? 1
