import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Two cores: each worker holds a wasm heap and a model.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'benchmarks/**/*.test.ts'],
          globalSetup: ['testing/src/compiler-cache.ts'],
          setupFiles: ['testing/src/setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        // What the built packages look like to those who install them, and the rules that the sources keep.
        test: {
          name: 'suites',
          include: ['testing/suites/**/*.test.ts'],
          globalSetup: ['testing/src/compiler-cache.ts', 'testing/suites/build-packages.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
