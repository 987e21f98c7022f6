import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { leavesOf, linear, materialize, readCheckpointJson, type Weight, WeightReader } from '@blip2/core';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, normalizeImage, qformerConfigFromJson, type QFormerParams, runQueryPass } from '@blip2/qformer';
import { fixturePath, type Golden, readGolden, TOLERANCE } from '@blip2/testing';
import '@blip2/testing/gradients';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Scalar, Tensor } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';

/** A parameter in training, by its checkpoint name, with the moments of AdamW. */
interface Trained {
  readonly name: string;
  readonly value: tf.Variable;
  readonly first: tf.Variable;
  readonly second: tf.Variable;
}

/**
 * The second stage as a function: frozen image features, Q-Former, projection, frozen language model. Nothing here but
 * the packages' own differentiable functions, so the goldens hold for their composition.
 */
describe.each(['blip2-opt', 'blip2-flan-t5'])('stage 2 of %s', (folder) => {
  it('has the loss, the gradients and the parameters of five AdamW steps', async () => {
    const golden = readGolden(`models/${folder}`);
    const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
    const languageModel = await loadLanguageModel(checkpoint);
    const config = qformerConfigFromJson(await readCheckpointJson(checkpoint, 'config.json'));
    const described = describeQFormer(new WeightReader(checkpoint.weights, 'Q-Former'), config);
    const params = await materialize<QFormerParams>(described);
    const features = golden.tensor<Rank.R3>('vision.hidden_states.3'); // [batch, tokens, width], before ln_vision
    const trained: Trained[] = [];
    const live = withVariables(described, params, trained) as QFormerParams;
    const batch = golden.json.training_batch;

    const lossOf = (): Scalar => {
      const image = normalizeImage(live.inputs, config, features); // [batch, tokens, width]
      const { output } = runQueryPass(live, config, image); // [batch, queries, width]
      const visualPrompt = linear(live.heads.promptProjection!, output); // [batch, queries, promptWidth]
      const tokens = { ids: batch.input_ids, mask: batch.attention_mask, labels: batch.labels };
      return languageModel.lossFromTokens(visualPrompt, tokens);
    };

    const expected = new Set(golden.json.training.trainable);
    expect(new Set(trained.map(({ name }) => name))).toEqual(expected);
    const { steps, losses_before_each_step: losses, loss_after_5_steps: lossAfter } = golden.json.adamw;
    for (let step = 1; step <= steps; step++) {
      const { value, grads } = tf.variableGrads(
        () => tf.tidy(lossOf),
        trained.map((parameter) => parameter.value),
      );
      expect(value).toBeAllclose([losses[step - 1]], TOLERANCE.activations);
      if (step === 1) for (const { name, value: variable } of trained) expectGoldenGradient(golden, name, grads[variable.name]!);
      for (const parameter of trained) adamW(parameter, grads[parameter.value.name]!, step, golden.json.adamw);
      tf.dispose([value, ...Object.values(grads)]);
    }
    const after = tf.tidy(lossOf);
    expect(after).toBeAllclose([lossAfter], TOLERANCE.activations);
    for (const { name, value } of trained) expectGoldenParameter(golden, name, value);

    tf.dispose([after, features, ...leavesOf(params)] as Tensor[]);
    for (const { value, first, second } of trained) tf.dispose([value, first, second]);
    languageModel.dispose();
    checkpoint.dispose();
  });
});

/**
 * The tree with variables in the place of everything but `ln_vision`, which the reference froze in these goldens.
 * @param trained - Gets each variable with its checkpoint name.
 */
function withVariables(described: unknown, params: unknown, trained: Trained[]): unknown {
  if (params instanceof tf.Tensor) {
    const { name } = described as Weight;
    if (name.startsWith('vision_model.')) return params;
    const [first, second] = [tf.variable(tf.zerosLike(params), false), tf.variable(tf.zerosLike(params), false)];
    const parameter = { name, value: tf.variable(params), first, second };
    trained.push(parameter);
    return parameter.value;
  }
  if (Array.isArray(params)) return params.map((child, index) => withVariables((described as unknown[])[index], child, trained));
  if (typeof params !== 'object' || params === null) return params;
  const fields = described as Record<string, unknown>;
  return Object.fromEntries(Object.entries(params).map(([key, child]) => [key, withVariables(fields[key], child, trained)]));
}

/** One decoupled step: weight decay for everything with two dimensions or more, as the golden says. */
function adamW(
  { value, first, second }: Trained,
  gradient: Tensor,
  step: number,
  {
    lr,
    betas: [beta1, beta2],
    eps,
    weight_decay: decay,
  }: { lr: number; betas: [number, number]; eps: number; weight_decay: number },
): void {
  tf.tidy(() => {
    first.assign(tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1)));
    second.assign(tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2)));
    const direction = tf.div(tf.div(first, 1 - beta1 ** step), tf.add(tf.sqrt(tf.div(second, 1 - beta2 ** step)), eps));
    // query_tokens has three dimensions in the checkpoint and two in the tree: it decays either way.
    const kept = value.rank >= 2 ? 1 - lr * decay : 1;
    value.assign(tf.sub(tf.mul(value, kept), tf.mul(direction, lr)));
  });
}

/** Within 1e-4 of the largest entry. */
function expectGoldenGradient(golden: Golden, name: string, gradient: Tensor): void {
  if (!golden.names.includes(`grad.${name}`)) return;
  const { data } = golden.get(`grad.${name}`);
  const largest = Math.max(...data.map(Math.abs));
  const scaled = Float32Array.from(gradient.dataSync(), (entry) => entry / largest);
  const worst = Math.max(...scaled.map((entry, index) => Math.abs(entry - data[index]! / largest)));
  expect(worst, `gradient of ${name}`).toBeLessThanOrEqual(1e-4);
}

/** Within 1e-4; AdamW's first steps have the size of the learning rate whatever the gradient, so single entries may be off by 2e-3. */
function expectGoldenParameter(golden: Golden, name: string, value: Tensor): void {
  if (!golden.names.includes(`adamw5.${name}`)) return;
  const { data } = golden.get(`adamw5.${name}`);
  const differences = Array.from(
    value.dataSync(),
    (entry, index) => Math.abs(entry - data[index]!) / (1 + Math.abs(data[index]!)),
  );
  expect(Math.max(...differences), `parameter ${name}`).toBeLessThanOrEqual(2e-3);
  const loose = differences.filter((difference) => difference > 1e-4).length;
  expect(loose / differences.length, `share of ${name} beyond 1e-4`).toBeLessThanOrEqual(0.01);
}
