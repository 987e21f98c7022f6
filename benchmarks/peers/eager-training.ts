import { materialize, sizeOf } from '@blip2/core';
import { contrastiveLoss } from '@blip2/losses';
import { normalizeImage, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import { captionLoss, encodeStageOne, pairLoss, type StageOneBatch } from '@blip2/training';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { ADAMW } from './compiled-training.ts';
import type { LoadedTask } from './our-tasks.ts';
import { type EagerTraining, nextRows } from './stage-one.ts';

/** A parameter in training. Gradient and moments stay out of the wasm heap, which they would fill. */
interface Trained {
  readonly variable: tf.Variable;
  readonly gradient: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** Images and texts. */
type Pairs = Pick<StageOneBatch, 'features' | 'text'>;

/** Rows of the batch whose activations fit the wasm heap at once, beside weights and gradients: 4.2 GB in the largest part. */
const ENCODED_ROWS = 2;
const MATCHED_ROWS = 4;

/** What adds a part of the gradients, and the part of the losses that it computed. */
type AddLosses = (compute: () => { readonly loss: Scalar; readonly values: Readonly<Record<string, Scalar>> }) => void;

/**
 * A step of the first stage with tfjs operations as they come.
 *
 * The activations of a whole batch do not fit the 4 GiB wasm heap, so rows go through the model in groups and their
 * gradients are added up. Contrast needs all rows at once: its gradient is taken at the features, which are computed once
 * more before, without activations. The numbers are those of the whole batch. Source: GradCache (arXiv 2101.06983).
 */
export async function loadEagerTraining({ config, params, batch }: EagerTraining): Promise<LoadedTask> {
  const trained = new Map<Tensor, Trained>();
  const live = withVariables(await materialize<QFormerParams>(params), trained) as QFormerParams;
  let step = 0;
  return {
    run: () => {
      const values: Record<string, number> = {};
      const parameters = [...trained.values()];
      for (const { gradient } of parameters) gradient.fill(0);
      const add: AddLosses = (compute) => addGradients(compute, parameters, values);
      addContrastAndCaptioning(live, config, batch, add);
      addMatching(live, config, batch, add);
      step++;
      for (const parameter of parameters) adamW(parameter, step);
      return Promise.resolve({ values });
    },
    output: () => Promise.resolve({ shape: [0], values: [] }),
  };
}

function addContrastAndCaptioning(params: QFormerParams, config: QFormerConfig, batch: StageOneBatch, add: AddLosses): void {
  const groups = groupsOf(batch, ENCODED_ROWS);
  const encoded = tf.tidy(() => {
    const parts = groups.map((group) => {
      const { images, texts } = encodeStageOne(params, config, group);
      return { images, texts };
    });
    return {
      images: tf.concat(parts.map(({ images }) => images)), // [batch, queries, contrastiveWidth]
      texts: tf.concat(parts.map(({ texts }) => texts)), // [batch, contrastiveWidth]
    };
  });
  const temperature = params.heads.temperature!;
  const contrastOf = (images: Tensor3D, texts: Tensor2D): Scalar => contrastiveLoss({ images, texts }, temperature).loss;
  const slopes = tf.grads((images, texts) => contrastOf(images as Tensor3D, texts as Tensor2D));
  const [imageSlope, textSlope] = slopes([encoded.images, encoded.texts]) as [Tensor3D, Tensor2D];
  // The temperature is the one parameter that the features do not hide.
  add(() => {
    const contrast = contrastOf(encoded.images, encoded.texts);
    return { loss: contrast, values: { contrast } };
  });
  const words = countOf(batch);
  for (const [index, group] of groups.entries()) {
    add(() => {
      const { images, texts, keyValues } = encodeStageOne(params, config, group);
      const begin = index * ENCODED_ROWS;
      const captioning = tf.mul(captionLoss(params, config, keyValues, group.text), countOf(group) / words) as Scalar;
      // Its slope at the features is that of the contrast.
      const towardsContrast = tf.add(
        tf.sum(tf.mul(images, rowsOf(imageSlope, begin, ENCODED_ROWS))),
        tf.sum(tf.mul(texts, rowsOf(textSlope, begin, ENCODED_ROWS))),
      );
      return { loss: tf.add(captioning, towardsContrast), values: { captioning } };
    });
  }
  tf.dispose([encoded, imageSlope, textSlope]);
  for (const group of groups) tf.dispose([group.features, group.text.ids, group.text.mask]);
}

function addMatching(params: QFormerParams, config: QFormerConfig, batch: StageOneBatch, add: AddLosses): void {
  const { features, text } = batch;
  const next = tf.tidy(() => ({
    features: nextRows(features), // as features
    text: { ids: nextRows(text.ids), mask: nextRows(text.mask) }, // as text
  }));
  const kinds: readonly (readonly [Pairs, 0 | 1])[] = [
    [batch, 1],
    [{ features: next.features, text }, 0],
    [{ features, text: next.text }, 0],
  ];
  for (const [pairs, label] of kinds) {
    const groups = groupsOf(pairs, MATCHED_ROWS);
    for (const group of groups) {
      add(() => {
        const image = normalizeImage(params.inputs, config, group.features); // [pairs, imageTokens, imageFeatureWidth]
        const labels = tf.tile(tf.tensor1d([label], 'int32'), [image.shape[0]]); // [pairs]
        const share = image.shape[0] / (kinds.length * features.shape[0]);
        const matching = tf.mul(pairLoss(params, config, image, group.text, labels), share) as Scalar;
        return { loss: matching, values: { matching } };
      });
      tf.dispose([group.features, group.text.ids, group.text.mask]);
    }
  }
  tf.dispose([next.features, next.text.ids, next.text.mask]);
}

/** Rows in groups of a size, the last one possibly smaller; new tensors, the caller's. */
function groupsOf({ features, text }: Pairs, size: number): Pairs[] {
  return Array.from({ length: Math.ceil(features.shape[0] / size) }, (_, index) => ({
    features: rowsOf(features, index * size, size),
    text: { ids: rowsOf(text.ids, index * size, size), mask: rowsOf(text.mask, index * size, size) },
  }));
}

function rowsOf<X extends Tensor2D | Tensor3D>(x: X, begin: number, count: number): X {
  const zeros = x.shape.slice(1).map(() => 0);
  const rows = Math.min(count, x.shape[0] - begin);
  return tf.slice(x as Tensor, [begin, ...zeros], [rows, ...x.shape.slice(1)]) as X; // [rows, …]
}

/** Words that captioning predicts: all real ones but the first of each text. */
function countOf({ text: { mask } }: Pairs): number {
  return tf.tidy(() => tf.sum(tf.slice(mask, [0, 1], [-1, -1])).dataSync()[0]!);
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
function addGradients(compute: Parameters<AddLosses>[0], parameters: readonly Trained[], values: Record<string, number>): void {
  let kept: Readonly<Record<string, Scalar>> = {};
  const differentiated = (): Scalar => {
    const computed = compute();
    kept = computed.values;
    for (const value of Object.values(kept)) tf.keep(value);
    return computed.loss;
  };
  const { value, grads } = tf.variableGrads(
    () => tf.tidy(differentiated),
    parameters.map(({ variable }) => variable),
  );
  for (const { variable, gradient } of parameters) {
    const added = grads[variable.name];
    if (added === undefined) continue; // another part of the loss reaches it
    const numbers = added.dataSync();
    for (let index = 0; index < gradient.length; index++) gradient[index]! += numbers[index]!;
    added.dispose();
  }
  for (const [name, loss] of Object.entries(kept)) values[name] = (values[name] ?? 0) + loss.dataSync()[0]!;
  tf.dispose([value, ...Object.values(kept)]);
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
