// The real parts: the kernel, the engine, the gateway. Slow, one file at a time, and as root.

import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A busy machine may starve a real part of its time once; what fails twice is broken. A second try is printed as one.
    retry: 1,
    // What was measured is printed as it is, under the name of the test that measured it.
    reporters: ['verbose'],
    disableConsoleIntercept: true,
  },
})
