import { sizeOf } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNodeRuntime, type NodeRuntime } from './node-runtime.ts';

let runtime: NodeRuntime;
beforeAll(async () => {
  runtime = await createNodeRuntime({ threads: 1 });
});
afterAll(() => runtime.dispose());

describe('gatherRows', () => {
  it('gives what tfjs gathers', async () => {
    const shapes = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }));
    const cases = shapes.chain(([count, inner]) => {
      return fc.record({ shape: fc.constant([count, ...inner]), rows: fc.array(fc.nat({ max: count - 1 }), { maxLength: 8 }) });
    });
    const property = fc.asyncProperty(cases, fc.boolean(), async ({ shape, rows }, areFloats) => {
      const numbers = Array.from({ length: sizeOf(shape) }, (_, index) => index * 3);
      const data = areFloats ? Float32Array.from(numbers) : Int32Array.from(numbers);
      const tensor = runtime.createTensor({ shape, data });
      const gathered = await runtime.gatherRows(tensor, rows);
      const expected = tf.tidy(() =>
        tf
          .gather(tf.tensor(data, [...shape]), tf.tensor1d(rows, 'int32'))
          .dataSync()
          .slice(),
      );
      expect(gathered.shape).toEqual([rows.length, ...shape.slice(1)]);
      expect([...(await gathered.data())]).toEqual([...expected]);
      gathered.dispose();
      tensor.dispose();
    });
    await fc.assert(property, { numRuns: 50 });
  });

  it('says which row is not there', async () => {
    const tensor = runtime.createTensor({ shape: [2, 1], data: Float32Array.of(1, 2) });
    await expect(runtime.gatherRows(tensor, [0, 2])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: gatherRows: row 2 was asked for, expected rows from 0 to 1, because its shape is [2, 1]. Correct the argument.]`,
    );
    const scalar = runtime.createTensor({ shape: [], data: Float32Array.of(1) });
    await expect(runtime.gatherRows(scalar, [0])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: gatherRows: the tensor is a scalar and has no rows, expected one of at least one axis. Correct the argument.]`,
    );
    tensor.dispose();
    await expect(runtime.gatherRows(tensor, [0])).rejects.toMatchObject({ code: 'disposed' });
    scalar.dispose();
  });
});
