import { expectNoLeak, spread } from '@blip2/testing';
import { describeBackends } from '@blip2/testing/backends';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type AbsorbedProjections, attendAbsorbed } from './absorbed-attention.ts';
import { attend, mergeHeads, splitHeads } from './attention.ts';
import { linear, type LinearParams } from './linear.ts';

interface Sizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headWidth: number;
  readonly featureWidth: number;
}

interface Case {
  readonly params: AbsorbedProjections;
  readonly query: tf.Tensor3D;
  readonly features: tf.Tensor3D;
  readonly options: { readonly heads: number; readonly scale: number };
}

function caseOf({ batch, queries, keys, heads, headWidth, featureWidth }: Sizes, hasBias = true): Case {
  const width = heads * headWidth;
  const projection = (seed: number): LinearParams => ({
    weight: spread<tf.Rank.R2>([width, featureWidth], seed),
    ...(hasBias && { bias: spread<tf.Rank.R1>([width], seed + 1) }),
  });
  return {
    params: { key: projection(1), value: projection(3) },
    query: spread<tf.Rank.R3>([batch, queries, width], 5),
    features: spread<tf.Rank.R3>([batch, keys, featureWidth], 6),
    options: { heads, scale: headWidth ** -0.5 },
  };
}

/** The same with keys and values. */
function projected({ params, query, features, options: { heads, scale } }: Case): tf.Tensor {
  const [q, k, v] = [query, linear(params.key, features), linear(params.value, features)].map((x) => splitHeads(x, heads));
  return mergeHeads(attend(q!, k!, v!, { scale }));
}

function absorbed({ params, query, features, options }: Case): tf.Tensor {
  return attendAbsorbed(params, query, features, options);
}

const sizes: Sizes = { batch: 2, queries: 3, keys: 5, heads: 2, headWidth: 4, featureWidth: 6 };

describeBackends(() => {
  it('is attention with projected keys and values', () => {
    const size = fc.integer({ min: 1, max: 6 });
    const all = fc.record({ batch: size, queries: size, keys: size, heads: size, headWidth: size, featureWidth: size });
    fc.assert(
      fc.property(all, fc.boolean(), (some, hasBias) => {
        tf.tidy(() => {
          const one = caseOf(some, hasBias);
          expect(absorbed(one)).toBeAllclose(projected(one), 1e-5);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('is so where single products are worth a kernel of their own', () => {
    const large = caseOf({ batch: 2, queries: 20, keys: 60, heads: 2, headWidth: 40, featureWidth: 90 });
    expect(absorbed(large)).toBeAllclose(projected(large), 1e-5);
  });

  it('has the same gradients, for biases as well', () => {
    const one = caseOf(sizes);
    const { key, value } = one.params;
    const inputs = [one.query, one.features, key.weight, key.bias!, value.weight, value.bias!];
    type Arguments = [tf.Tensor3D, tf.Tensor3D, tf.Tensor2D, tf.Tensor1D, tf.Tensor2D, tf.Tensor1D];
    const changed = (values: tf.Tensor[]): Case => {
      const [query, features, keyWeight, keyBias, valueWeight, valueBias] = values as Arguments;
      const params = { key: { weight: keyWeight, bias: keyBias }, value: { weight: valueWeight, bias: valueBias } };
      return { ...one, query, features, params };
    };
    const loss = (read: tf.Tensor): tf.Scalar => tf.sum(tf.square(read));
    const actual = tf.grads((...values) => loss(absorbed(changed(values))))(inputs);
    const expected = tf.grads((...values) => loss(projected(changed(values))))(inputs);
    for (const [index, gradient] of actual.entries()) expect(gradient).toBeAllclose(expected[index]!, 1e-5);
  });

  it('has the same queries for all features', () => {
    const one = caseOf(sizes);
    const few = tf.slice(one.query, [0, 0, 0], [1, -1, -1]); // [1, queries, width]
    const loss = (query: tf.Tensor): tf.Scalar => tf.sum(tf.square(absorbed({ ...one, query: query as tf.Tensor3D })));
    const repeated = (query: tf.Tensor): tf.Tensor => tf.tile(query, [sizes.batch, 1, 1]);
    const [actual, expected] = [loss, (query: tf.Tensor) => loss(repeated(query))].map((each) => tf.valueAndGrad(each)(few));
    expect(actual!.value).toBeAllclose(expected!.value, 1e-5);
    expect(actual!.grad).toBeAllclose(expected!.grad, 1e-5);
  });

  it('leaves nothing behind but the results', async () => {
    const one = caseOf(sizes);
    const gradient = tf.grad((query) => tf.sum(absorbed({ ...one, query: query as tf.Tensor3D })));
    await expectNoLeak(() => tf.dispose([absorbed(one), gradient(one.query)]));
  });
});
