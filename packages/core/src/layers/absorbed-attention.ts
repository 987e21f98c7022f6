import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';
import { mergeHeads, splitHeads } from './attention.ts';
import { batchedProduct } from './batched-product.ts';
import { type FusedOperation, runFused } from './fused-kernel.ts';
import type { LinearParams } from './linear.ts';
import { swapped } from './swapped.ts';

/** The projections that {@link attendAbsorbed} applies to queries and results. */
export interface AbsorbedProjections {
  readonly key: LinearParams; //                 [heads·headWidth, featureWidth]
  readonly value: LinearParams; //               as key
}

/** How {@link attendAbsorbed} reads. */
export interface AbsorbedAttentionOptions {
  readonly heads: number;
  /** Multiplies the scores: 1/√headWidth in most models. */
  readonly scale: number;
}

/**
 * Attention of few queries over many features, without keys and values: q·(x·Wₖᵀ)ᵀ is (q·Wₖ)·xᵀ, and P·(x·Wᵥᵀ) is (P·x)·Wᵥᵀ, so
 * both projections can be applied on the side of the queries. The same as `attend` with projected keys and values, up to rounding.
 *
 * It takes queries/keys + queries/headWidth of the multiplications that projecting every feature takes: 0.62 for the 32
 * queries, 257 image tokens and 64 columns a head of BLIP-2.
 *
 * @param query - `[batch, queries, heads·headWidth]`, projected; or `[1, …]`, the same queries for all features.
 * @param features - `[batch, keys, featureWidth]`: what keys and values are made of.
 * @returns `[batch, queries, heads·headWidth]`: what the queries read, heads side by side.
 *
 * Source: known as weight absorption from DeepSeek-V2 (arXiv 2405.04434), section 2.1.2.
 */
export function attendAbsorbed(
  { key, value }: AbsorbedProjections,
  query: Tensor3D,
  features: Tensor3D,
  { heads, scale }: AbsorbedAttentionOptions,
): Tensor3D {
  const inputs = { query, features, keyWeight: key.weight, valueWeight: value.weight, keyBias: key.bias };
  return tidy(() => {
    const read = runFused<AbsorbedInputs, AbsorbedAttentionOptions, Tensor3D>(ABSORBED_ATTENTION, inputs, { heads, scale }); // [batch, queries, heads·headWidth]
    // Probabilities add up to 1, so that every query reads the bias once.
    return value.bias === undefined ? read : tf.add(read, value.bias); // [batch, queries, heads·headWidth]
  });
}

interface AbsorbedInputs {
  readonly query: Tensor3D; //                   [batch or 1, queries, heads·headWidth]
  readonly features: Tensor3D; //                [batch, keys, featureWidth]
  readonly keyWeight: Tensor2D; //               [heads·headWidth, featureWidth]
  readonly valueWeight: Tensor2D; //             as keyWeight
  /** Adds the same to all scores of a query, which softmax does not see: never used, and its gradient is 0. */
  readonly keyBias?: Tensor1D; //                [heads·headWidth]
}

const ABSORBED_ATTENTION: FusedOperation<AbsorbedInputs, AbsorbedAttentionOptions> = {
  kernel: 'AbsorbedAttention',
  inputs: ['query', 'features', 'keyWeight', 'valueWeight', 'keyBias'],
  saved: ['query', 'features', 'keyWeight', 'valueWeight'],
  compute: (inputs, options) => {
    const { probabilities, seen } = lookUp(inputs, options); // [1, batch, heads·queries, keys], [1, batch, keys, featureWidth]
    const found = regroup(batchedProduct(probabilities, seen), options.heads); // [1, heads, batch·queries, featureWidth]
    const read = batchedProduct(found, byHead(inputs.valueWeight, options.heads), true); // [1, heads, batch·queries, headWidth]
    const [, queries, width] = inputs.query.shape;
    return tf.reshape(mergeHeads(read), [inputs.features.shape[0], queries, width]); // [batch, queries, heads·headWidth]
  },
  gradients: (dy, inputs, options) => {
    const { query, features, keyWeight, valueWeight } = inputs;
    const { heads, scale } = options;
    const shared = tidy(() => {
      const found = lookUp(inputs, options);
      return { ...found, ...scoreGradients(dy as Tensor3D, valueWeight, found, heads) };
    });
    const { asked, sought, seen, probabilities, dRead, dMixed, dScores } = shared;
    const dSought = (): Tensor4D => {
      const byImage = batchedProduct(dScores, seen); // [1, batch, heads·queries, featureWidth]
      const byQuery = sought.shape[1] === byImage.shape[1] ? byImage : tf.sum<Tensor4D>(byImage, 1, true); // [1, batch or 1, heads·queries, featureWidth]
      return regroup(byQuery, heads); // [1, heads, (batch or 1)·queries, featureWidth]
    };
    return {
      query: () => {
        const dAsked = batchedProduct(dSought(), byHead(keyWeight, heads), true); // [1, heads, (batch or 1)·queries, headWidth]
        return tf.reshape(tf.mul(mergeHeads(dAsked), scale), query.shape); // [batch or 1, queries, heads·headWidth]
      },
      features: () => {
        const asKeys = batchedProduct(swapped(dScores), sought); // [1, batch, keys, featureWidth]
        const asValues = batchedProduct(swapped(probabilities), dMixed); // [1, batch, keys, featureWidth]
        return tf.reshape(tf.add(asKeys, asValues), features.shape); // [batch, keys, featureWidth]
      },
      keyWeight: () => tf.reshape(batchedProduct(swapped(asked), dSought()), keyWeight.shape), // [heads·headWidth, featureWidth]
      valueWeight: () => {
        const found = regroup(batchedProduct(probabilities, seen), heads); // [1, heads, batch·queries, featureWidth]
        return tf.reshape(batchedProduct(swapped(dRead), found), valueWeight.shape); // [heads·headWidth, featureWidth]
      },
      keyBias: () => tf.zeros([keyWeight.shape[0]]), // [heads·headWidth]
    };
  },
};

/** The attention before anything is read. */
interface LookUp {
  readonly asked: Tensor4D; //                   [1, heads, (batch or 1)·queries, headWidth]
  readonly sought: Tensor4D; //                  [1, batch or 1, heads·queries, featureWidth]
  readonly seen: Tensor4D; //                    [1, batch, keys, featureWidth]
  readonly probabilities: Tensor4D; //           [1, batch, heads·queries, keys]
}

/** All queries of a batch meet one projection, head by head; then all heads of an image meet its features. */
function lookUp({ query, features, keyWeight }: AbsorbedInputs, { heads, scale }: AbsorbedAttentionOptions): LookUp {
  const asked = splitHeads(joinBatch(tf.mul(query, scale)), heads); // [1, heads, (batch or 1)·queries, headWidth]
  const sought = regroup(batchedProduct(asked, byHead(keyWeight, heads)), query.shape[0]); // [1, batch or 1, heads·queries, featureWidth]
  const seen = tf.expandDims<Tensor4D>(features, 0); // [1, batch, keys, featureWidth]
  const probabilities = tf.softmax(batchedProduct(sought, seen, true), -1); // [1, batch, heads·queries, keys]
  return { asked, sought, seen, probabilities };
}

/** Gradients on the way back to the scores. */
interface ScoreGradients {
  readonly dRead: Tensor4D; //                   [1, heads, batch·queries, headWidth]
  readonly dMixed: Tensor4D; //                  [1, batch, heads·queries, featureWidth]
  readonly dScores: Tensor4D; //                 [1, batch, heads·queries, keys]
}

function scoreGradients(dy: Tensor3D, valueWeight: Tensor2D, { seen, probabilities }: LookUp, heads: number): ScoreGradients {
  const dRead = splitHeads(joinBatch(dy), heads); // [1, heads, batch·queries, headWidth]
  const dMixed = regroup(batchedProduct(dRead, byHead(valueWeight, heads)), dy.shape[0]); // [1, batch, heads·queries, featureWidth]
  const weighted = tf.mul(probabilities, batchedProduct(dMixed, seen, true)); // [1, batch, heads·queries, keys]
  const dScores = tf.sub(weighted, tf.mul(probabilities, tf.sum(weighted, -1, true))) as Tensor4D; // [1, batch, heads·queries, keys]
  return { dRead, dMixed, dScores };
}

/** `[batch, rows, width]` → `[1, batch·rows, width]` */
function joinBatch(x: Tensor): Tensor3D {
  const [batch, rows, width] = x.shape as [number, number, number];
  return tf.reshape(x, [1, batch * rows, width]); // [1, batch·rows, width]
}

/** `[1, a, b·rows, columns]` → `[1, b, a·rows, columns]` */
function regroup(x: Tensor4D, b: number): Tensor4D {
  const [, a, joined, columns] = x.shape;
  const parts = tf.reshape(x, [a, b, joined / b, columns]) as Tensor4D; // [a, b, rows, columns]
  return tf.reshape(tf.transpose(parts, [1, 0, 2, 3]), [1, b, (a * joined) / b, columns]); // [1, b, a·rows, columns]
}

/** `[heads·headWidth, featureWidth]` → `[1, heads, headWidth, featureWidth]` */
function byHead(weight: Tensor2D, heads: number): Tensor4D {
  const [width, featureWidth] = weight.shape;
  return tf.reshape(weight, [1, heads, width / heads, featureWidth]); // [1, heads, headWidth, featureWidth]
}
