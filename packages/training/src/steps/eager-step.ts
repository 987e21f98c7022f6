import {
  adamWDefaults,
  adamWSchedule,
  type LossFunction,
  type OptimizerOptions,
  type StepReport,
  trainingFunction,
  type TrainingState,
} from '@blip2/compiler';
import { DisposedError, type HostTensor, InputError, materialize, type RunOptions, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { type ByPath, visitLeaves } from '../parameters/separate-parameters.ts';

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

/** See {@link createEagerStep}. */
export class EagerStep<Batch> {
  readonly #compute: ReturnType<typeof trainingFunction<TensorsByPath, Batch, TensorsByPath>>;
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
    this.#compute = trainingFunction(loss, optimizer);
    this.#optimizer = optimizer;
    this.#frozen = frozen;
    this.#moments = { params, first: zerosLike(params), second: zerosLike(params) };
  }

  /** Steps taken, without those that were skipped. */
  get steps(): number {
    return this.#steps;
  }

  /** Takes one step. @param batch - Tensors or numbers with a shape; kept. @throws {DisposedError} after `dispose()`. */
  async run(
    batch: unknown,
    { learningRate, abortSignal }: { learningRate: number; abortSignal?: AbortSignal },
  ): Promise<StepReport> {
    this.#assertUsable();
    abortSignal?.throwIfAborted();
    const numbers = adamWSchedule(adamWDefaults(this.#optimizer), this.#steps + 1, learningRate);
    const outputs = tf.tidy(() => {
      const step = { rate: tf.scalar(numbers.rate), epsilon: tf.scalar(numbers.epsilon), decay: tf.scalar(numbers.decay) };
      const { params, first, second, metrics, gradientNorm } = this.#compute(
        { ...this.#moments, batch: asTensors<Batch>(batch), step },
        this.#frozen,
      );
      return { params, first, second, metrics, gradientNorm } as unknown as tf.TensorContainerObject;
    }) as unknown as Moments & { metrics: Record<string, Scalar>; gradientNorm: Scalar };
    const { metrics, gradientNorm, ...next } = outputs;
    disposeMoments(this.#moments);
    this.#moments = next;
    const { loss = Number.NaN, ...others } = Object.fromEntries(
      Object.entries(metrics).map(([name, scalar]) => [name, takeNumber(scalar)]),
    );
    const report = { loss, gradientNorm: takeNumber(gradientNorm), metrics: others };
    const skipped = ![loss, report.gradientNorm, ...Object.values(others)].every(Number.isFinite);
    if (!skipped) this.#steps++;
    return { ...report, skipped };
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
    const given = { params, first, second };
    for (const [kind, tensors] of Object.entries(this.#moments) as [keyof Moments, TensorsByPath][]) {
      for (const [path, { shape }] of Object.entries(tensors)) {
        const found = (given[kind] as ByPath<HostTensor>)[path];
        if (found?.shape.join() === shape.join()) continue;
        throw new InputError(
          `restore: ${kind}.${path} is ${found === undefined ? 'missing' : `[${found.shape.join(', ')}]`}, expected [${shape.join(', ')}]. ` +
            `Restore a state of the same model, as state() gave it.`,
        );
      }
    }
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

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError('training step');
  }
}

/** The tree with a tensor at each leaf; tensors stay as they are. */
function asTensors<Tree>(tree: unknown): Tree {
  return visitLeaves(tree, (leaf: Tensor | HostTensor) => (leaf instanceof tf.Tensor ? leaf : toTensor(leaf))) as Tree;
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

function takeNumber(scalar: Scalar): number {
  const [value] = scalar.dataSync();
  scalar.dispose();
  return value!;
}
