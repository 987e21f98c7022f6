import {
  adamWDefaults,
  adamWSchedule,
  gradientFunction,
  type LossFunction,
  mapTree,
  meanOf,
  type OptimizerOptions,
  restorableValues,
  type StepReport,
  trainingFunction,
  type TrainingState,
  updateFunction,
} from '@blip2/compiler';
import { DisposedError, type HostTensor, InputError, materialize, nextTurn, type RunOptions, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { ByPath } from '../parameters/separate-parameters.ts';

/** What an eager step is made of. */
export interface EagerStepOptions extends OptimizerOptions, Pick<RunOptions, 'abortSignal'> {
  /** Where the parameters start. */
  readonly params: ByPath<Weight>;
  /** What does not train. @default none */
  readonly frozen?: ByPath<Weight>;
}

type TensorsByPath = ByPath<Tensor>;

/** Parameters and their moments, as tensors. */
interface Moments {
  readonly params: TensorsByPath;
  readonly first: TensorsByPath;
  readonly second: TensorsByPath;
}

/**
 * A training step by tfjs operations on the current backend: the same function that `compileTrainingStep` compiles, and the same
 * numbers, for browsers and machines without ONNX Runtime and for a look inside.
 *
 * @param loss - Differentiable in the parameters.
 * @returns the step, the caller's to dispose.
 *
 * @example
 * using step = await createEagerStep(loss, { params: trained, frozen });
 * await step.run(batch, { learningRate: 1e-4 });
 */
export async function createEagerStep<Batch>(
  loss: LossFunction<TensorsByPath, Batch, TensorsByPath>,
  { params, frozen = {}, abortSignal, ...optimizer }: EagerStepOptions,
): Promise<EagerStep<Batch>> {
  const live = await materialize<TensorsByPath>(params, { abortSignal });
  try {
    return new EagerStep(loss, live, await materialize<TensorsByPath>(frozen, { abortSignal }), optimizer);
  } catch (cause) {
    tf.dispose(Object.values(live));
    throw cause;
  }
}

/** How one step is taken. */
export interface EagerRunOptions extends Pick<RunOptions, 'abortSignal'> {
  readonly learningRate: number;
}

/** See {@link createEagerStep}. */
export class EagerStep<Batch> {
  readonly #loss: LossFunction<TensorsByPath, Batch, TensorsByPath>;
  readonly #optimizer: OptimizerOptions;
  readonly #frozen: TensorsByPath;
  #moments: Moments;
  #steps = 0;
  #disposed = false;

  /** @param params - And `frozen`: tensors, this object's from now on. */
  constructor(
    loss: LossFunction<TensorsByPath, Batch, TensorsByPath>,
    params: TensorsByPath,
    frozen: TensorsByPath,
    optimizer: OptimizerOptions,
  ) {
    this.#loss = loss;
    this.#optimizer = optimizer;
    this.#frozen = frozen;
    this.#moments = { params, first: zerosLike(params), second: zerosLike(params) };
  }

  /** Steps taken, without those that were skipped. */
  get steps(): number {
    return this.#steps;
  }

  /** Takes one step. @param batch - Tensors or numbers with a shape; kept. @throws {DisposedError} after `dispose()`. */
  async run(batch: unknown, { learningRate, abortSignal }: EagerRunOptions): Promise<StepReport> {
    this.#assertUsable();
    abortSignal?.throwIfAborted();
    const outputs = tf.tidy(() => {
      const inputs = { ...this.#moments, batch: asTensors<Batch>(batch), step: this.#stepScalars(learningRate) };
      return trainingFunction(this.#loss, this.#optimizer)(inputs, this.#frozen) as unknown as tf.TensorContainerObject;
    }) as unknown as Moments & { metrics: Record<string, Scalar>; gradientNorm: Scalar };
    const { metrics, gradientNorm, ...next } = outputs;
    return this.#goOn(next, takeNumbers(metrics), gradientNorm);
  }

  /**
   * Takes one step with the mean of the losses of several batches, one after the other in the memory of one.
   *
   * @param batches - As in `run`; at least one.
   * @returns means over the batches. Where a number of one of them is not finite, the whole step is skipped.
   * @throws {InputError} for no batch.
   */
  async runAccumulated(batches: readonly unknown[], { learningRate, abortSignal }: EagerRunOptions): Promise<StepReport> {
    this.#assertUsable();
    if (batches.length === 0)
      throw new InputError('training step: runAccumulated got 0 batches, expected at least one. Pass a batch.');
    let sums = zerosLike(this.#moments.params);
    const reports: Record<string, number>[] = [];
    try {
      for (const batch of batches) {
        abortSignal?.throwIfAborted();
        const { sums: next, metrics } = this.#addGradients(sums, batch, reports.length > 0);
        tf.dispose(Object.values(sums));
        sums = next;
        reports.push(takeNumbers(metrics));
        await nextTurn(); // eager steps wait for nothing: without this an abort would not be heard
      }
      const metrics = meanOf(reports);
      const { gradientNorm, ...next } = this.#update(sums, batches.length, metrics, learningRate);
      return this.#goOn(next, metrics, gradientNorm);
    } finally {
      tf.dispose(Object.values(sums));
    }
  }

  /** A copy of everything, for a checkpoint. */
  async state(): Promise<TrainingState<TensorsByPath>> {
    this.#assertUsable();
    const { params, first, second } = this.#moments;
    return { params: await valuesOf(params), first: await valuesOf(first), second: await valuesOf(second), steps: this.#steps };
  }

  /** Goes on from a state. @param state - Copied. @throws {InputError} when it has other parameters; nothing has changed then. */
  restore({ params, first, second, steps }: TrainingState<TensorsByPath>): void {
    this.#assertUsable();
    const expected = Object.entries(this.#moments).flatMap(([kind, tensors]) =>
      Object.entries(tensors as TensorsByPath).map(([path, tensor]) => [`${kind}.${path}`, tensor] as const),
    );
    restorableValues({ params, first, second }, expected);
    disposeMoments(this.#moments);
    this.#moments = { params: asTensors(params), first: asTensors(first), second: asTensors(second) };
    this.#steps = steps;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    disposeMoments(this.#moments);
    tf.dispose(Object.values(this.#frozen));
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #addGradients(sums: TensorsByPath, batch: unknown, goesOn: boolean): { sums: TensorsByPath; metrics: Record<string, Scalar> } {
    return tf.tidy(() => {
      const inputs = { params: this.#moments.params, sums, batch: asTensors<Batch>(batch), goesOn: tf.scalar(goesOn ? 1 : 0) };
      return gradientFunction(this.#loss)(inputs, this.#frozen) as never;
    });
  }

  #update(
    sums: TensorsByPath,
    count: number,
    metrics: Readonly<Record<string, number>>,
    learningRate: number,
  ): Moments & { gradientNorm: Scalar } {
    return tf.tidy(() => {
      const fault = tf.scalar(Object.values(metrics).every(Number.isFinite) ? 0 : Number.NaN);
      const inputs = { ...this.#moments, sums, share: tf.scalar(1 / count), fault, step: this.#stepScalars(learningRate) };
      return updateFunction<TensorsByPath>(this.#optimizer)(inputs) as never;
    });
  }

  #stepScalars(learningRate: number): Record<'rate' | 'epsilon' | 'decay', Scalar> {
    const numbers = adamWSchedule(adamWDefaults(this.#optimizer), this.#steps + 1, learningRate);
    return { rate: tf.scalar(numbers.rate), epsilon: tf.scalar(numbers.epsilon), decay: tf.scalar(numbers.decay) };
  }

  /** Takes over what a step gave. */
  #goOn(next: Moments, { loss = Number.NaN, ...metrics }: Record<string, number>, norm: Scalar): StepReport {
    disposeMoments(this.#moments);
    this.#moments = next;
    const gradientNorm = takeNumber(norm);
    const skipped = ![loss, gradientNorm, ...Object.values(metrics)].every(Number.isFinite);
    if (!skipped) this.#steps++;
    return { loss, gradientNorm, metrics, skipped };
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError('training step');
  }
}

/** The tree with a tensor at each leaf; tensors stay as they are. */
function asTensors<Tree>(tree: unknown): Tree {
  return mapTree<Tensor | HostTensor>(tree, (leaf) => (leaf instanceof tf.Tensor ? leaf : toTensor(leaf))) as Tree;
}

function toTensor({ shape, data }: HostTensor): Tensor {
  return tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32');
}

function zerosLike(params: TensorsByPath): TensorsByPath {
  return Object.fromEntries(Object.entries(params).map(([path, tensor]) => [path, tf.zerosLike(tensor)]));
}

async function valuesOf(tensors: TensorsByPath): Promise<Record<string, HostTensor>> {
  const entries = Object.entries(tensors).map(async ([path, tensor]) => {
    return [path, { shape: tensor.shape, data: (await tensor.data()) as Float32Array }] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function disposeMoments({ params, first, second }: Moments): void {
  tf.dispose([params, first, second].flatMap((tensors) => Object.values(tensors)));
}

function takeNumbers(metrics: Readonly<Record<string, Scalar>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).map(([name, scalar]) => [name, takeNumber(scalar)]));
}

function takeNumber(scalar: Scalar): number {
  const [value] = scalar.dataSync();
  scalar.dispose();
  return value!;
}
