import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs';
import { type HostTensor, seededRandom, weightFromValues } from '@blip2/core';
import type { LossFunction } from '@blip2/compiler';
import * as tf from '@tensorflow/tfjs-core';
import type { ByPath } from '../parameters/separate-parameters.ts';
import { createEagerStep, type EagerStep } from '../steps/eager-step.ts';
import type { BatchSource, JsonValue } from './batch-source.ts';

/** A regression with one hidden layer, small enough for hundreds of steps in a test. */
export interface SmallBatch {
  readonly x: HostTensor; // [rows, 3]
  readonly y: HostTensor; // [rows, 1]
}

const ROWS = 8;

type Tensors = ByPath<tf.Tensor>;

const loss: LossFunction<Tensors, { x: tf.Tensor2D; y: tf.Tensor2D }, Tensors> = (params, { x, y }) => {
  const hidden = tf.tanh(tf.add(tf.matMul(x, params['hidden.weight'] as tf.Tensor2D), params['hidden.bias']!)); // [rows, 6]
  const error = tf.sub(tf.matMul(hidden as tf.Tensor2D, params['output.weight'] as tf.Tensor2D), y); // [rows, 1]
  return { loss: tf.mean(tf.square(error)) as tf.Scalar, largest: tf.max(tf.abs(error)) as tf.Scalar };
};

function values(shape: readonly number[], random: () => number): Float32Array {
  return Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random() - 0.5);
}

/** The model on the plain JavaScript backend, always with the same numbers. */
export async function smallStep(): Promise<EagerStep<{ x: tf.Tensor2D; y: tf.Tensor2D }>> {
  tf.env().set('IS_TEST', true); // keeps the plain JavaScript backend from advertising the native one
  await tf.setBackend('cpu');
  const random = seededRandom(7);
  const shapes = { 'hidden.weight': [3, 6], 'hidden.bias': [6], 'output.weight': [6, 1] };
  const params = Object.fromEntries(
    Object.entries(shapes).map(([path, shape]) => [path, weightFromValues(path, shape, values(shape, random))]),
  );
  return createEagerStep(loss, { params });
}

/** Rows of a curve, other ones in each batch; the position is the number of the next one. */
export class SmallBatches implements BatchSource<SmallBatch> {
  #next = 0;
  /** Batches that give NaN. */
  readonly #broken: (index: number) => boolean;
  readonly released: number[] = [];
  readonly #indices: Map<SmallBatch, number> = new Map();

  constructor(broken: (index: number) => boolean = () => false) {
    this.#broken = broken;
  }

  async next({ abortSignal }: { readonly abortSignal?: AbortSignal }): Promise<SmallBatch> {
    const index = this.#next;
    await Promise.resolve();
    abortSignal?.throwIfAborted();
    const random = seededRandom(index);
    const x = values([ROWS, 3], random);
    const y = Float32Array.from({ length: ROWS }, (_, row) => Math.sin(3 * x[3 * row]!) * x[3 * row + 1]! + x[3 * row + 2]!);
    if (this.#broken(index)) y[0] = Number.NaN;
    this.#next++;
    const batch = { x: { shape: [ROWS, 3], data: x }, y: { shape: [ROWS, 1], data: y } };
    this.#indices.set(batch, index);
    return batch;
  }

  position(): JsonValue {
    return { next: this.#next };
  }

  seek(position: JsonValue): void {
    this.#next = (position as { next: number }).next;
  }

  release(batch: SmallBatch): void {
    this.released.push(this.#indices.get(batch)!);
  }
}
