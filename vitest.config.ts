import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  // The build puts the package's version in its place.
  define: { __GONET_VERSION__: JSON.stringify('0.0.0-test') },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/fuzz/seed.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // Most of the time goes to waiting for real servers, not to computing: more than there are cores of a small machine.
    maxWorkers: 3,
  },
})

export default config
