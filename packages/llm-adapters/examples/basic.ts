// Writes text with a tiny untrained OPT, with and without a visual prompt, and streams it token by token:
//
//   node examples/basic.ts
//
// The weights are random, so the text is nonsense; `loadLanguageModel` reads trained ones from a checkpoint.
import '@tensorflow/tfjs-backend-wasm';
import type { Tokenizer } from '@blip2/core';
import { createOpt, optConfig, randomOptWeights } from '@blip2/llm-adapters';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank } from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');

const letters = ' abcdefghijklmnopqrstuvwxyz'; // ids from 3: 0 is padding, 1 begins a text, 2 ends it
const tokenizer: Tokenizer = {
  vocabSize: 3 + letters.length,
  padTokenId: 0,
  encode: (text) => [1, ...Array.from(text, (letter) => 3 + letters.indexOf(letter))],
  decode: (ids) => ids.map((id) => letters[id - 3] ?? '').join(''),
  tokenId: () => undefined,
};
const sizes = { vocabSize: tokenizer.vocabSize, width: 64, embeddingWidth: 64, layers: 2, heads: 4, feedForwardWidth: 128 };
const config = optConfig('125m', { ...sizes, padTokenId: 0, beginTokenId: 1, endTokenIds: [2] });
const model = await createOpt(randomOptWeights(config, { seed: 1, standardDeviation: 0.2 }), config, tokenizer);

const visualPrompt = tf.randomNormal<Rank.R3>([2, 32, 64], 0, 1, 'float32', 1); // [batch, queries, embeddingWidth]
const answers = await model.generate(visualPrompt, ['what is this', 'and'], { beams: 3, returnSequences: 2, maxNewTokens: 12 });
for (const [index, texts] of answers.entries()) console.log(`image ${index}:`, texts);

for await (const { text } of model.stream(undefined, 'no image', { sampling: { seed: 2 } })) process.stdout.write(text);
console.log();

visualPrompt.dispose();
model.dispose();
