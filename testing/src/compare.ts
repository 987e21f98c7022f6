import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { GoldenTensor } from './golden.ts';

/**
 * The tolerances of the golden fixtures, as |a − b| ≤ tolerance · (1 + |b|). One table: a test that needs more
 * says here why, with the measured difference.
 */
export const TOLERANCE = {
  /** Hidden states, projections, logits, losses in float32. */
  activations: 1e-4,
  /** Similarities and probabilities. */
  similarities: 1e-5,
  /** Beam scores. */
  scores: 1e-4,
  /** Normalised pixels, when the resized bytes are equal. */
  pixels: 1e-5,
} as const;

/** Values and shape of whatever a test compares. */
export type Comparable = Tensor | GoldenTensor | ArrayLike<number>;

export interface Difference {
  readonly pass: boolean;
  readonly message: string;
}

/** Compares every element of two arrays; says where the worst difference is. */
export function compare(actual: Comparable, expected: Comparable, tolerance: number): Difference {
  const a = valuesOf(actual);
  const b = valuesOf(expected);
  if (a.shape !== undefined && b.shape !== undefined && a.shape.join() !== b.shape.join()) {
    return { pass: false, message: `shape [${a.shape.join(', ')}], expected [${b.shape.join(', ')}]` };
  }
  if (a.data.length !== b.data.length) return { pass: false, message: `${a.data.length} values, expected ${b.data.length}` };
  let worst = -1;
  let worstIndex = 0;
  for (let index = 0; index < b.data.length; index++) {
    const x = a.data[index]!;
    const y = b.data[index]!;
    const difference = x === y ? 0 : Math.abs(x - y) / (1 + Math.abs(y));
    if (difference > worst || Number.isNaN(difference)) {
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      worstIndex = index;
    }
  }
  const at = b.shape === undefined ? `${worstIndex}` : `[${unravel(worstIndex, b.shape).join(', ')}]`;
  return {
    pass: worst <= tolerance,
    message: `worst difference ${worst.toExponential(2)} (tolerance ${tolerance}) at ${at}: ${a.data[worstIndex]} against ${b.data[worstIndex]}`,
  };
}

function valuesOf(value: Comparable): { shape?: readonly number[]; data: ArrayLike<number> } {
  if (value instanceof tf.Tensor) return { shape: value.shape, data: value.dataSync() };
  if ('data' in value) return value;
  return { data: value };
}

function unravel(index: number, shape: readonly number[]): number[] {
  return shape
    .map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
    .map((stride, axis) => Math.floor(index / stride) % shape[axis]!);
}

/**
 * Runs `body` and checks that it leaves as many tensors as it found, also when it throws.
 * Tensors that `body` returns must have been disposed by it.
 */
export async function expectNoLeak(body: () => Promise<unknown> | unknown): Promise<void> {
  const before = tf.memory().numTensors;
  let failure: unknown;
  try {
    await body();
  } catch (cause) {
    failure = cause;
  }
  // Streamed blocks let go of prefetched weights once their read has ended.
  for (let turn = 0; turn < 20 && tf.memory().numTensors !== before; turn++) await new Promise((done) => setTimeout(done, 5));
  const after = tf.memory().numTensors;
  if (after !== before) {
    throw new Error(`${after - before} tensors were left behind (${before} before, ${after} after)`, { cause: failure });
  }
  if (failure !== undefined) throw failure;
}
