import { materialize, sizeOf } from '@blip2/core';
import type { QFormerParams } from '@blip2/qformer';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { LoadedTask } from './our-tasks.ts';
import { ADAMW, contrastAndCaptioning, MATCHING_PAIRS, matchingLoss } from './stage-one.ts';
import type { TrainingInputs } from './training.ts';

/** A parameter in training. Gradient and moments stay out of the wasm heap, which they would fill. */
interface Trained {
  readonly variable: tf.Variable;
  readonly gradient: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** A part of the loss with its own backward pass, and its share of the whole. */
interface LossPart {
  readonly name: string;
  readonly share: number;
  readonly compute: () => Record<string, Scalar>;
}

/**
 * A step of the first stage with tfjs operations as they come. The activations of the whole loss do not fit the 4 GiB wasm
 * heap beside the weights, so the loss is taken apart into sums and gradients are added up: the numbers are the same.
 */
export async function loadEagerTraining({ config, params, batch }: TrainingInputs): Promise<LoadedTask> {
  const trained = new Map<Tensor, Trained>();
  const live = withVariables(await materialize<QFormerParams>(params), trained) as QFormerParams;
  const parts: LossPart[] = [
    { name: 'contrast and captioning', share: 1, compute: () => contrastAndCaptioning(live, config, batch) },
    ...MATCHING_PAIRS.map((kind) => ({
      name: kind,
      share: 1 / MATCHING_PAIRS.length,
      compute: () => ({ matching: matchingLoss(live, config, batch, [kind]) }),
    })),
  ];
  let step = 0;
  return {
    run: () => {
      const values: Record<string, number> = {};
      const parameters = [...trained.values()];
      for (const { gradient } of parameters) gradient.fill(0);
      for (const part of parts) addGradients(part, parameters, values);
      step++;
      for (const parameter of parameters) adamW(parameter, step);
      return Promise.resolve({ values });
    },
    output: () => Promise.resolve({ shape: [0], values: [] }),
  };
}

/** The tree with a variable in the place of each tensor; a tied one becomes one variable. */
function withVariables(tree: unknown, trained: Map<Tensor, Trained>): unknown {
  if (tree instanceof tf.Tensor) {
    let parameter = trained.get(tree);
    if (parameter === undefined) {
      const moments = (): Float32Array => new Float32Array(sizeOf(tree.shape));
      parameter = { variable: tf.variable(tree), gradient: moments(), first: moments(), second: moments() };
      trained.set(tree, parameter);
      tree.dispose();
    }
    return parameter.variable;
  }
  if (Array.isArray(tree)) return tree.map((child) => withVariables(child, trained));
  if (typeof tree !== 'object' || tree === null) return tree;
  return Object.fromEntries(Object.entries(tree).map(([key, child]) => [key, withVariables(child, trained)]));
}

/** One backward pass. @param values - Gets the parts of the loss by name, added up. */
function addGradients({ share, compute }: LossPart, parameters: readonly Trained[], values: Record<string, number>): void {
  const kept: Record<string, Scalar> = {};
  const total = (): Scalar =>
    tf.tidy(() => {
      const losses = Object.entries(compute());
      for (const [name, loss] of losses) kept[name] = tf.keep(loss);
      return losses.map(([, loss]) => tf.mul(loss, share) as Scalar).reduce((a, b) => tf.add(a, b));
    });
  const variables = parameters.map(({ variable }) => variable);
  const { value, grads } = tf.variableGrads(total, variables);
  for (const { variable, gradient } of parameters) {
    const added = grads[variable.name];
    if (added === undefined) continue; // another part of the loss reaches it
    const numbers = added.dataSync();
    for (let index = 0; index < gradient.length; index++) gradient[index]! += numbers[index]!;
    added.dispose();
  }
  for (const [name, loss] of Object.entries(kept)) {
    values[name] = (values[name] ?? 0) + share * loss.dataSync()[0]!;
    loss.dispose();
  }
  value.dispose();
}

/** One decoupled step; vectors do not decay, as in LAVIS. */
function adamW({ variable, gradient, first, second }: Trained, step: number): void {
  const {
    learningRate,
    betas: [beta1, beta2],
    epsilon,
    weightDecay: decay,
  } = ADAMW;
  const [firstScale, secondScale] = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
  const values = variable.dataSync<'float32'>();
  const kept = variable.rank === 1 ? 1 : 1 - learningRate * decay;
  const next = new Float32Array(values.length);
  for (let index = 0; index < next.length; index++) {
    const slope = gradient[index]!;
    const average = (first[index] = beta1 * first[index]! + (1 - beta1) * slope);
    const square = (second[index] = beta2 * second[index]! + (1 - beta2) * slope * slope);
    const direction = (average * firstScale) / (Math.sqrt(square * secondScale) + epsilon);
    next[index] = kept * values[index]! - learningRate * direction;
  }
  const assigned = tf.tensor(next, variable.shape);
  variable.assign(assigned);
  assigned.dispose();
}
