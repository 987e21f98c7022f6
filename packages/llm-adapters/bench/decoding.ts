/**
 * Time of decoding at true sizes, with random weights in half precision from a file: 32 queries and 8 tokens of text,
 * then one token after the other. Run it with `node bench/decoding.ts [opt-125m | opt-350m | flan-t5-small | flan-t5-base]`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import '@tensorflow/tfjs-backend-wasm';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import { type Tokenizer, WeightBudget, type WeightSource } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor3D } from '@tensorflow/tfjs-core';
import {
  createOpt,
  createT5,
  flanT5Config,
  optConfig,
  type OptLanguageModel,
  randomOptWeights,
  randomT5Weights,
  type T5LanguageModel,
} from '../src/index.ts';

/** Words are numbers: nothing here depends on text. */
const tokenizer: Tokenizer = {
  vocabSize: 32000,
  padTokenId: 1,
  encode: (text) => text.split(' ').map(Number),
  decode: (ids) => ids.join(' '),
  tokenId: () => undefined,
};

const sources = {
  'opt-125m': randomOptWeights(optConfig('125m')),
  'opt-350m': randomOptWeights(optConfig('350m')),
  'flan-t5-small': randomT5Weights(flanT5Config('small')),
  'flan-t5-base': randomT5Weights(flanT5Config('base')),
};
type Name = keyof typeof sources;

function create(name: Name, weights: WeightSource, budget: WeightBudget): Promise<OptLanguageModel | T5LanguageModel> {
  switch (name) {
    case 'opt-125m':
    case 'opt-350m':
      return createOpt(weights, optConfig(name === 'opt-125m' ? '125m' : '350m'), tokenizer, { budget });
    default:
      return createT5(weights, flanT5Config(name === 'flan-t5-small' ? 'small' : 'base'), tokenizer, { budget });
  }
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Times of the first and of one more token: the fastest of several, because the machine may have other work. */
async function secondsPerToken(
  model: OptLanguageModel | T5LanguageModel,
  visualPrompt: Tensor3D,
  beams: number,
  steps: number,
): Promise<[first: number, next: number]> {
  const session = model.startDecoding(visualPrompt, ['10 20 30 40 50 60 70 80']);
  const first = await seconds(async () => (await session.start()).dispose());
  session.reorder(Array.from({ length: beams }, () => 0));
  const times: number[] = [];
  for (let step = 0; step < steps; step++) {
    const tokens = Array.from({ length: beams }, (_, beam) => 10 + beam);
    times.push(await seconds(async () => (await session.step(tokens)).dispose()));
  }
  session.dispose();
  return [first, Math.min(...times)];
}

async function measure(name: Name): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'decoding-'));
  const source = sources[name];
  await writeWeights(
    folder,
    source.names.map((weight) => source.get(weight)!),
    { dtype: 'F16' },
  );
  const checkpoint = await openCheckpointFolder(folder);
  for (const budget of [new WeightBudget(), new WeightBudget(0)]) {
    let model!: OptLanguageModel | T5LanguageModel;
    const loading = await seconds(async () => (model = await create(name, checkpoint.weights, budget)));
    const visualPrompt = tf.randomNormal<Rank.R3>([1, 32, model.embeddingWidth], 0, 1, 'float32', 1);
    const streamed = model.streamedBytes > 0;
    await secondsPerToken(model, visualPrompt, 1, 1); // warm-up
    const [first, next] = await secondsPerToken(model, visualPrompt, 1, streamed ? 3 : 20);
    const [again] = await secondsPerToken(model, visualPrompt, 1, 1);
    const [, nextOfBeams] = await secondsPerToken(model, visualPrompt, 5, streamed ? 3 : 20);
    console.log(
      `${name}: ${(model.parameterCount / 1e6).toFixed(0)} M parameters, ${streamed ? 'streamed' : 'resident'}; load ${loading.toFixed(1)} s; ` +
        `first token ${(Math.min(first, again) * 1000).toFixed(0)} ms; next token ${(next * 1000).toFixed(0)} ms, of 5 beams ${(nextOfBeams * 1000).toFixed(0)} ms`,
    );
    visualPrompt.dispose();
    model.dispose();
  }
  checkpoint.dispose();
  await rm(folder, { recursive: true });
}

await tf.setBackend('wasm');
for (const name of Object.keys(sources) as Name[]) {
  if (process.argv[2] === undefined || process.argv[2] === name) await measure(name);
}
