// The fast suite: everything that needs no engine, no gateway and no minutes.

import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineConfig({
  // The road tests wait far more than they work: one worker more than this machine class has cores.
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/real/**', 'node_modules/**'],
    testTimeout: 10_000,
    maxWorkers: 3,
  },
})
