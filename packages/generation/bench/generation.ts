import '@tensorflow/tfjs-backend-wasm';
import { seededRandom, type DecodingSession, type GenerateOptions } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { generate } from '../src/index.ts';

// node packages/generation/bench/generation.ts

await tf.setBackend('wasm');

const VOCAB = 50_272; // OPT
const STEPS = 20;
const random = seededRandom(1);
// Logits in ±8: about 6,000 tokens make up 0.9 of the probability, many more than in a trained model.
const logits = Float32Array.from({ length: 5 * VOCAB }, () => (random() * 2 - 1) * 8);

/** A model that costs nothing: always the same logits. */
function idleSession(): DecodingSession {
  let rows = 1;
  const answer = (): Promise<tf.Tensor2D> => Promise.resolve(tf.tensor2d(logits.subarray(0, rows * VOCAB), [rows, VOCAB]));
  return {
    get rows() {
      return rows;
    },
    promptIds: [Array.from({ length: 64 }, (_, index) => index * 7)],
    endTokenIds: [2],
    padTokenId: 1,
    usableVocabSize: 50_266,
    maxNewTokens: 1000,
    start: answer,
    step: answer,
    reorder: (parents) => (rows = parents.length),
    dispose: () => undefined,
  };
}

/** Prints the median time of a step over nine runs, after two to warm up. */
async function measure(name: string, options: GenerateOptions): Promise<void> {
  const times: number[] = [];
  for (let round = -2; round < 9; round++) {
    const begin = performance.now();
    await generate(idleSession(), { maxNewTokens: STEPS, minNewTokens: STEPS, ...options });
    if (round >= 0) times.push((performance.now() - begin) / STEPS);
  }
  console.log(`${name.padEnd(60)} ${times.toSorted((left, right) => left - right)[4]!.toFixed(2)} ms a step`);
}

await measure('greedy, 1×50272', {});
await measure('sampling with top-p 0.9, 1×50272', { sampling: { topP: 0.9 } });
await measure('sampling with top-k 50 and top-p 0.9, 1×50272', { sampling: { topK: 50, topP: 0.9 } });
await measure('5 beams, 5×50272', { beams: 5 });
await measure('5 beams, repetition penalty and 3-grams, 5×50272', { beams: 5, repetitionPenalty: 1.2, noRepeatNgramSize: 3 });
