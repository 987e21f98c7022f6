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

/** Runs `body` on the plain JavaScript backend, for which layers have no forms of their own. */
export async function onCpuBackend<Result>(body: () => Promise<Result>): Promise<Result> {
  const before = tf.getBackend();
  await tf.setBackend('cpu');
  try {
    return await body();
  } finally {
    await tf.setBackend(before);
  }
}
