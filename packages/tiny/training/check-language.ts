import '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Described, materialize, readCheckpointJson, seededRandom, type Tokenizer, WeightReader } from '@blip2/core';
import { askScene, captionFits, describeScene, drawScene, sceneRandom } from '@blip2/datasets';
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
 * Whether a language model reads what stands before: losses of captions and answers alone, and after words that tell, and how many of
 * its captions are true after words that tell everything. A frozen model that does not read words cannot be prompted by an image
 * either. Usage: check-language.ts FOLDER
 */
const SCENES = 100;
const MOST_TOKENS = 40;

/** A language model of either kind. */
interface Reader {
  /** A prompt's tokens: what tells, and what asks. */
  readonly prompt: (before: string, asked: string) => number[];
  /** A text's tokens behind the prompt, with the end. */
  readonly target: (asked: string, text: string) => number[];
  /** Logits of each token of the target, `[1, tokens, vocab]`. */
  readonly predict: (prompt: readonly number[], target: readonly number[]) => Tensor3D;
}

await tf.setBackend('wasm');
const checkpoint = await openCheckpointFolder(process.argv[2]!);
const json = (await readCheckpointJson(checkpoint, 'config.json')) as { readonly model_type: string };
const described = describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), json);
const params = await materialize<OptParams | T5Params>(described as Described<OptParams | T5Params>);
const tokenizer = await loadTokenizer(checkpoint);
const isOpt = json.model_type === 'opt';
const reader = isOpt ? optReader(params as OptParams, tokenizer) : t5Reader(params as T5Params, tokenizer);
const sums: Record<string, number> = {};
for (let index = 0; index < SCENES; index++) {
  const key = { seed: SEEDS.validation, index };
  const scene = drawScene(key);
  const [first, second] = describeScene(scene, sceneRandom(key, 'captions'), 2) as [string, string];
  const [asked, other] = askScene(scene, sceneRandom(key, 'questions'), { count: 2 });
  const question = `Question: ${asked!.text} ${isOpt ? 'Answer:' : 'Short answer:'}`;
  const told = [asked!, other ?? asked!].map(({ text, answer }) => `Question: ${text} Answer: ${answer}`).join(' ');
  const inFull = listObjects(scene, () => 0);
  add('caption', lossOf('', '', second));
  add('caption after a caption', lossOf(first, '', second));
  add('caption after objects', lossOf(listObjects(scene, seededRandom(index)), '', second));
  add('caption after everything', lossOf(inFull, '', second));
  add('true after everything', captionFits(scene, write(inFull, 'a photo of')) ? 1 : 0);
  add('answer', lossOf('', question, asked!.answer));
  add('answer after a caption', lossOf(first, question, asked!.answer));
  add('answer after everything', lossOf(inFull, question, asked!.answer));
  add('answer after the answer', lossOf(told, question, asked!.answer));
}
console.log(Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, Number((sum / SCENES).toFixed(3))])));
checkpoint.dispose();

function add(name: string, value: number): void {
  sums[name] = (sums[name] ?? 0) + value;
}

/** Mean loss of a text's tokens behind a prompt. */
function lossOf(before: string, asked: string, text: string): number {
  const target = reader.target(asked, text);
  return tf.tidy(() => tokenLoss(reader.predict(reader.prompt(before, asked), target), row(target)).dataSync()[0]!);
}

/** The most likely token each time. */
function write(before: string, asked: string): string {
  const prompt = reader.prompt(before, asked);
  const end = reader.target('', '').at(-1);
  const written: number[] = [];
  while (written.length < MOST_TOKENS) {
    const next = tf.tidy(() => {
      const logits = reader.predict(prompt, [...written, 0]); // [1, tokens, vocab]
      return tf.argMax(tf.slice(logits, [0, written.length, 0], [1, 1, -1]), -1).dataSync()[0]!;
    });
    if (next === end) break;
    written.push(next);
  }
  return tokenizer.decode(written).trim();
}

function row(ids: readonly number[]): Tensor2D {
  return tf.tensor2d([...ids], [1, ids.length], 'int32');
}

function optReader(live: OptParams, tokens: Tokenizer): Reader {
  const config = optConfigFromJson(json);
  return {
    prompt: (before, asked) => [...tokens.encode(before, { addSpecialTokens: false }), ...tokens.encode(asked)],
    target: (asked, text) => [
      ...tokens.encode(asked === '' ? text : ` ${text}`, { addSpecialTokens: false }),
      config.endTokenIds[0]!,
    ],
    predict: (prompt, target) => {
      const logits = optTrainingLogits(live, config, undefined, row([...prompt, ...target])); // [1, all, vocab]
      return tf.slice(logits, [0, prompt.length - 1, 0], [1, target.length, -1]) as Tensor3D; // [1, tokens, vocab]
    },
  };
}

function t5Reader(live: T5Params, tokens: Tokenizer): Reader {
  const config = t5ConfigFromJson(json);
  return {
    prompt: (before, asked) => [...tokens.encode(`${before} ${asked}`.trim())],
    target: (_, text) => [...tokens.encode(text)],
    predict: (prompt, target) =>
      t5TrainingLogits(live, config, undefined, {
        promptIds: row(prompt),
        promptMask: row(prompt.map(() => 1)),
        decoderIds: row(t5DecoderInputs([target], config)[0]!),
      }),
  };
}
