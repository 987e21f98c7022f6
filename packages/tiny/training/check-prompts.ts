import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { type Described, materialize } from '@blip2/core';
import { describeScene, drawScene, sceneRandom } from '@blip2/datasets';
import type { OptParams, T5Params } from '@blip2/llm-adapters';
import { languageLoss, type StageTwoBatch } from '@blip2/training';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import { openLanguageModel, TEXT_LENGTHS } from './bridge/language-model.ts';
import { SEEDS } from './world.ts';

/**
 * How soon prompts that are free to become anything make a frozen language model say a caption: a bridge can be trained no sooner.
 * Each caption has a prompt of its own. Usage: check-prompts.ts FOLDER
 */
const [CAPTIONS, QUERIES, STEPS] = [8, 16, 200];

await tf.setBackend('wasm');
const model = await openLanguageModel(process.argv[2]!);
const params = await materialize<OptParams | T5Params>(model.params as Described<OptParams | T5Params>);
const captions = Array.from({ length: CAPTIONS }, (_, index) => {
  const key = { seed: SEEDS.validation, index };
  return describeScene(drawScene(key), sceneRandom(key, 'captions'), 1)[0]!;
});
const batch = model.batch(
  captions.map((target) => ({ prompt: '', target })),
  TEXT_LENGTHS.caption,
);
const texts = Object.fromEntries(
  Object.entries(batch).map(([name, { data, shape }]) => [name, tf.tensor(data as Int32Array, [...shape], 'int32')]),
) as unknown as StageTwoBatch['texts'];
for (const spread of [0.1, 0.5, 3, 10]) {
  const prompts = tf.variable(tf.randomNormal([CAPTIONS, QUERIES, model.width], 0, spread, 'float32', 1));
  const optimizer = tf.train.adam(0.1 * spread);
  const losses: string[] = [];
  for (let step = 0; step <= STEPS; step++) {
    const loss = optimizer.minimize(() => languageLoss(model.withParams(params), prompts as unknown as Tensor3D, texts), true, [
      prompts,
    ])!;
    if (step % 50 === 0) losses.push(loss.dataSync()[0]!.toFixed(3));
    loss.dispose();
  }
  console.log(`prompts that begin at ${spread}: loss ${losses.join(' → ')}`);
}
process.exit(0);
