// Beam search over a model of one's own, a table of what follows what:
//
//   node examples/basic.ts
import type { DecodingSession } from '@blip2/core';
import { generate, streamTokens } from '@blip2/generation';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';

await tf.setBackend('wasm');

const words = ['<end>', 'a', 'cat', 'dog', 'on', 'the', 'beach'];
const follows: Record<string, Record<string, number>> = {
  a: { cat: 2, dog: 2.5, beach: 1 },
  cat: { on: 3, '<end>': 1 },
  dog: { on: 1, '<end>': 2 },
  on: { the: 3, a: 1 },
  the: { beach: 3 },
  beach: { '<end>': 4 },
};

/** A prompt of one word. A real model keeps keys and values here, and runs on them. */
function openSession(word: string): DecodingSession {
  let last = [words.indexOf(word)]; // one a row
  const score = () => Promise.resolve(tf.tensor2d(last.map((id) => words.map((next) => follows[words[id]!]?.[next] ?? -9)))); // [rows, words]
  const start = score;
  const step = (ids: readonly number[]) => ((last = [...ids]), score());
  const reorder = (rows: readonly number[]) => void (last = rows.map((row) => last[row]!));
  const limits = { endTokenIds: [0], padTokenId: 0, usableVocabSize: words.length, maxNewTokens: 100 };
  return { ...limits, promptIds: [last], get rows() { return last.length; }, start, step, reorder, dispose: () => {} }; // prettier-ignore
}

for (const { tokenIds, score } of (await generate(openSession('a'), { beams: 4, returnSequences: 3 }))[0]!) {
  console.log(score!.toFixed(3), tokenIds.map((id) => words[id]).join(' '));
}
for await (const id of streamTokens(openSession('a'), { sampling: { temperature: 2, seed: 3 } }))
  console.log('sampled:', words[id]);
console.log('tensors left:', tf.memory().numTensors);
