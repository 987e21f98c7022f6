import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/src/**/*.test.ts', 'testing/suites/**/*.test.ts'],
    setupFiles: ['testing/src/setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two cores: each worker holds a wasm heap and a model.
    maxWorkers: 2,
  },
});
