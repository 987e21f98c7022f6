import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { countParameters, leavesOf, materialize, sizeInMemory, type Described } from './parameters.ts';
import { weightFromValues, type Weight } from './weights.ts';

interface Tree {
  readonly weight: tf.Tensor2D;
  readonly bias?: tf.Tensor1D;
  readonly layers: readonly { readonly scale: tf.Tensor1D }[];
}

const weight = weightFromValues('weight', [2, 3], new Float32Array([0, 1, 2, 3, 4, 5]));
const scale = weightFromValues('scale', [2], new Float32Array([7, 8]));
const described: Described<Tree> = { weight, layers: [{ scale }, { scale }] };

describe('trees', () => {
  it('list their leaves in order, tensors or descriptions', () => {
    expect(leavesOf(described)).toEqual([weight, scale, scale]);
    const tensor = tf.scalar(1);
    expect(leavesOf({ a: { b: [tensor] }, c: undefined, d: null, e: 'text', f: 3 })).toEqual([tensor]);
    tensor.dispose();
  });

  it('count parameters and bytes, a tied weight once', () => {
    expect(countParameters(described)).toBe(8);
    expect(sizeInMemory(described)).toBe(32);
    expect(countParameters({})).toBe(0);
  });
});

describe('materialize', () => {
  it('makes the same tree of tensors, which the caller owns', async () => {
    await expectNoLeak(async () => {
      const tree = await materialize<Tree>(described);
      expect(tree.weight.arraySync()).toEqual([[0, 1, 2], [3, 4, 5]]); // prettier-ignore
      expect(tree.layers.map((layer) => [...layer.scale.dataSync()])).toEqual([[7, 8], [7, 8]]); // prettier-ignore
      expect('bias' in tree).toBe(false);
      expect(Array.isArray(tree.layers)).toBe(true);
      tf.dispose(tree as unknown as tf.TensorContainer);
    });
  });

  it('makes one tensor of a weight that occurs twice', async () => {
    const before = tf.memory().numTensors;
    const tree = await materialize<Tree>(described);
    expect(tree.layers[0]!.scale).toBe(tree.layers[1]!.scale);
    expect(tf.memory().numTensors - before).toBe(2);
    tf.dispose(tree as unknown as tf.TensorContainer);
  });

  it('keeps integers as integers', async () => {
    const { ids } = await materialize<{ ids: tf.Tensor1D }>({ ids: weightFromValues('ids', [2], new Int32Array([3, 4])) });
    expect([ids.dtype, ...ids.dataSync()]).toEqual(['int32', 3, 4]);
    ids.dispose();
  });

  it('leaves nothing behind when a read fails, a size is wrong, or the caller aborts', async () => {
    const failing: Weight = { ...scale, read: () => Promise.reject(new Error('disk gone')) };
    const short: Weight = { ...scale, read: () => Promise.resolve(new Float32Array(1)) };
    await expectNoLeak(async () => {
      await expect(materialize({ weight, failing })).rejects.toThrow('disk gone');
      await expect(materialize({ weight, short })).rejects.toThrow(/should have 2 values/);
      await expect(materialize(described, { abortSignal: AbortSignal.abort() })).rejects.toThrow(
        expect.objectContaining({ name: 'AbortError' }),
      );
      const controller = new AbortController();
      const waiting = materialize(described, { abortSignal: controller.signal });
      controller.abort();
      await expect(waiting).rejects.toBe(controller.signal.reason);
    });
  });
});
