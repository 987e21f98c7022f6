/**
 * One image through every stage, offline: `npm run demo`.
 *
 * The two checkpoints are the fixtures of the test suite. They have the structure of the published ones, a few
 * hundred thousand parameters instead of billions, and random weights: what they write means nothing.
 */
import '@tensorflow/tfjs-backend-wasm';
import { fileURLToPath } from 'node:url';
import { withTensorScope } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import { preprocess } from '@blip2/image';
import * as tf from '@tensorflow/tfjs-core';
import { answer, type Blip2, caption, loadBlip2, match } from 'blip2/node';

const fixture = (path: string): string => fileURLToPath(new URL(`../testing/fixtures/models/${path}`, import.meta.url));
const IMAGE = fixture('preprocessing/images/landscape.png');
const QUESTION = 'what color is the ball?';
const TEXTS = ['a cat is sitting on a wooden table', 'the blue ocean at night'];

await tf.setBackend('wasm');
console.log('blip2.js demo. The weights are random until trained ones ship: the path is real, the words are not.\n');
await showCaptioning();
await showMatching();

async function showCaptioning(): Promise<void> {
  using model = await loadBlip2(fixture('blip2-opt'));
  await showStages(model);
  const [written] = await caption(model, IMAGE, { maxNewTokens: 12 });
  const [answered] = await answer(model, IMAGE, QUESTION);
  row('caption', '5 beams', JSON.stringify(written!.text));
  row('answer', JSON.stringify(QUESTION), JSON.stringify(answered!.text));
}

async function showMatching(): Promise<void> {
  using model = await loadBlip2(fixture('blip2-itm'));
  const [scores] = await match(model, IMAGE, TEXTS);
  for (const [index, { itm, itc }] of scores!.entries()) {
    row('match', JSON.stringify(TEXTS[index]), `probability ${itm.toFixed(4)}, cosine ${itc.toFixed(4)}`);
  }
}

/** The stages one by one, as `caption` runs them. */
async function showStages({ engine, imageProcessor, visionEncoder, qformer, languageModel }: Blip2): Promise<void> {
  await withTensorScope(async (scope) => {
    row('engine', 'every stage runs on', engine);
    const image = await decodeImage(IMAGE);
    row('image', 'landscape.png', `${image.width} × ${image.height} RGB`);
    const pixels = scope.own(preprocess([image], imageProcessor));
    row('preprocess', 'Pillow bicubic, normalised', shape(pixels));
    const features = scope.own(await visionEncoder.encode(pixels));
    row('vision encoder', `${visionEncoder.config.layers} layers`, shape(features));
    const queries = scope.own(await qformer.encodeQueries(features));
    row('Q-Former', `${qformer.config.queries} queries read the image`, shape(queries));
    const prompt = scope.own(await qformer.projectToPrompt(queries));
    row('projection', 'to the language model', shape(prompt));
    row('language model', languageModel!.architecture, `vocabulary of ${languageModel!.tokenizer.vocabSize}`);
  });
}

function shape(tensor: tf.Tensor): string {
  return `[${tensor.shape.join(', ')}]`;
}

function row(stage: string, what: string, result: string): void {
  console.log(`${stage.padEnd(16)}${what.padEnd(40)}${result}`);
}
