import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import {
  type Described,
  IGNORED_LABEL,
  materialize,
  readCheckpointJson,
  seededRandom,
  type Tokenizer,
  WeightReader,
} from '@blip2/core';
import { askScene, describeScene, drawScene, sceneRandom } from '@blip2/datasets';
import {
  describeLanguageModel,
  optConfigFromJson,
  type OptParams,
  optTrainingLogits,
  t5ConfigFromJson,
  t5DecoderInputs,
  type T5Params,
  t5TrainingLogits,
} from '@blip2/llm-adapters';
import { tokenLoss } from '@blip2/losses';
import { loadTokenizer } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { listObjects } from './documents.ts';
import { SEEDS } from './world.ts';

/**
 * Whether a language model reads what stands before: losses of captions and answers alone, and after words that tell. A frozen model
 * that does not cannot be prompted by an image either. Usage: check-language.ts FOLDER
 */
const SCENES = 100;

/** Loss of `text` after `before`; of an answer, the question in `before` does not count. */
type LossOf = (before: string, question: string, text: string) => number;

await tf.setBackend('wasm');
const checkpoint = await openCheckpointFolder(process.argv[2]!);
const json = (await readCheckpointJson(checkpoint, 'config.json')) as { readonly model_type: string };
const described = describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), json);
const params = await materialize<OptParams | T5Params>(described as Described<OptParams | T5Params>);
const tokenizer = await loadTokenizer(checkpoint);
const lossOf = json.model_type === 'opt' ? optLossOf(params as OptParams, tokenizer) : t5LossOf(params as T5Params, tokenizer);
const sums: Record<string, number> = {};
for (let index = 0; index < SCENES; index++) {
  const key = { seed: SEEDS.validation, index };
  const scene = drawScene(key);
  const [first, second] = describeScene(scene, sceneRandom(key, 'captions'), 2) as [string, string];
  const [asked, other] = askScene(scene, sceneRandom(key, 'questions'), { count: 2 });
  const question = `Question: ${asked!.text} ${json.model_type === 'opt' ? 'Answer:' : 'Short answer:'}`;
  const told = [asked!, other ?? asked!].map(({ text, answer }) => `Question: ${text} Answer: ${answer}`).join(' ');
  add('caption', lossOf('', '', second));
  add('caption after a caption', lossOf(first, '', second));
  add('caption after all objects', lossOf(listObjects(scene, seededRandom(index)), '', second));
  add('answer', lossOf('', question, asked!.answer));
  add('answer after a caption', lossOf(first, question, asked!.answer));
  add('answer after the answer', lossOf(told, question, asked!.answer));
}
console.log(Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, Number((sum / SCENES).toFixed(3))])));
checkpoint.dispose();

function add(name: string, loss: number): void {
  sums[name] = (sums[name] ?? 0) + loss;
}

function row(ids: readonly number[]): Tensor2D {
  return tf.tensor2d([...ids], [1, ids.length], 'int32');
}

function optLossOf(live: OptParams, tokens: Tokenizer): LossOf {
  const config = optConfigFromJson(json);
  return (before, question, text) => {
    const head = tokens.encode(before, { addSpecialTokens: false });
    const asked = tokens.encode(question);
    const ids = [...head, ...tokens.encode(question === '' ? text : `${question} ${text}`), config.endTokenIds[0]!];
    const counted = head.length + asked.length;
    const labels = ids.map((id, place) => (place < counted ? IGNORED_LABEL : id));
    return tf.tidy(() => {
      const logits = optTrainingLogits(live, config, undefined, row(ids)); // [1, tokens, vocab]
      const predicting = tf.slice(logits, [0, 0, 0], [1, ids.length - 1, -1]) as Tensor3D; // [1, tokens − 1, vocab]
      return tokenLoss(predicting, row(labels.slice(1))).dataSync()[0]!;
    });
  };
}

function t5LossOf(live: T5Params, tokens: Tokenizer): LossOf {
  const config = t5ConfigFromJson(json);
  return (before, question, text) => {
    const prompt = tokens.encode(`${before} ${question}`.trim());
    const target = tokens.encode(text);
    return tf.tidy(() => {
      const inputs = {
        promptIds: row(prompt),
        promptMask: row(prompt.map(() => 1)),
        decoderIds: row(t5DecoderInputs([target], config)[0]!),
      };
      return tokenLoss(t5TrainingLogits(live, config, undefined, inputs), row(target)).dataSync()[0]!;
    });
  };
}
