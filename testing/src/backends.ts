import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe } from 'vitest';

/** Runs the same tests on the wasm backend and on the plain JavaScript one, which knows nothing of wasm's special cases. */
export function describeBackends(run: (backend: 'wasm' | 'cpu') => void): void {
  describe.each(['wasm', 'cpu'] as const)('%s', (backend) => {
    beforeAll(async () => {
      await tf.setBackend(backend);
    });
    afterAll(async () => {
      await tf.setBackend('wasm');
    });
    run(backend);
  });
}
