import { gelu, layerNorm, type LayerNormParams, linear, type LinearParams, seededRandom, weightFromValues } from '@blip2/core';
import type { Described, HostTensor, Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';

/** One residual block of a feed-forward network. */
export interface TestBlock {
  readonly norm: LayerNormParams;
  readonly inner: LinearParams; // [512, 256]
  readonly outer: LinearParams; // [256, 512]
}

export interface TestInputs {
  readonly x: tf.Tensor2D; // [rows, 256]
}

export const WIDTH = 256;
const INNER = 512;

/** What a product does to its activations before; tests round them. */
type Rounding = (x: tf.Tensor2D) => tf.Tensor2D;

/** Three blocks as those of a Vision Transformer, without attention: `[rows, 256]` → `[rows, 256]`. */
export function testModel({ x }: TestInputs, blocks: readonly TestBlock[], round: Rounding = (same) => same): tf.Tensor2D {
  return blocks.reduce((hidden, { norm, inner, outer }) => {
    const thought = gelu(linear(inner, round(layerNorm(norm, hidden, 1e-6)))); // [rows, 512]
    return tf.add(hidden, linear(outer, round(thought)));
  }, x);
}

/** Rounds as one scale for all activations does: u8 over the whole range, zero included. */
export function roundWhole(x: tf.Tensor2D): tf.Tensor2D {
  const values = x.dataSync<'float32'>();
  const low = values.reduce((a, b) => Math.min(a, b), 0);
  const high = values.reduce((a, b) => Math.max(a, b), 0);
  const step = (high - low) / 255;
  return tf.tensor2d(
    values.map((value) => step * Math.round(value / step)),
    x.shape,
  );
}

/** Outliers as in `benchmarks/accuracy/outliers.ts`, which names the sources. */
export interface TestOutliers {
  /** Factor of four channels of each norm, taken back in the matrix behind it. */
  readonly gain?: number;
  /** What a neuron of the first block becomes for the first row of {@link testRows} alone. */
  readonly massive?: number;
}

/** Random weights, in memory. */
export function testBlocks({ gain = 1, massive = 0 }: TestOutliers = {}): Described<readonly TestBlock[]> {
  return [0, 1, 2].map((index) => {
    const random = normals(index + 1);
    const [norm, inner, outer] = [new Float32Array(WIDTH).fill(1), random(INNER * WIDTH, 0.05), random(WIDTH * INNER, 0.05)];
    const innerBias = random(INNER, 0.05);
    if (massive !== 0 && index === 0) plantMassive(inner, innerBias, outer, massive);
    for (const channel of [3, 70, 131, 200]) {
      norm[channel]! *= gain;
      for (let row = 0; row < INNER; row++) inner[row * WIDTH + channel]! /= gain;
    }
    const weight = (name: string, shape: readonly number[], values: Float32Array): Weight =>
      weightFromValues(`blocks.${index}.${name}`, shape, values);
    return {
      norm: {
        weight: weight('norm.weight', [WIDTH], norm),
        bias: weight('norm.bias', [WIDTH], new Float32Array(WIDTH)),
      },
      inner: { weight: weight('inner.weight', [INNER, WIDTH], inner), bias: weight('inner.bias', [INNER], innerBias) },
      outer: { weight: weight('outer.weight', [WIDTH, INNER], outer), bias: weight('outer.bias', [WIDTH], random(WIDTH, 0.05)) },
    };
  });
}

/** The neuron 0 fires for the direction of the first row, and writes into one channel. */
function plantMassive(inner: Float32Array, innerBias: Float32Array, outer: Float32Array, size: number): void {
  const { data } = testRows(1);
  const norm = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));
  for (let channel = 0; channel < WIDTH; channel++) {
    inner[channel] = (1.5 * size * data[channel]!) / (norm * Math.sqrt(WIDTH));
    outer[channel * INNER]! *= 0.1;
  }
  innerBias[0] = -0.5 * size;
  outer[7 * INNER] = 1;
}

/** Normal activations; the first row is the same for any seed. @returns `[rows, 256]` */
export function testRows(rows: number, seed = 0): HostTensor & { readonly data: Float32Array } {
  const data = normals(100 + seed)(rows * WIDTH, 1);
  data.set(normals(99)(WIDTH, 1));
  return { shape: [rows, WIDTH], data };
}

function normals(seed: number): (count: number, deviation: number) => Float32Array {
  const random = seededRandom(seed);
  const draw = (): number => (random() + random() + random() + random() - 2) * Math.sqrt(3); // variance 1
  return (count, deviation) => Float32Array.from({ length: count }, () => deviation * draw());
}
