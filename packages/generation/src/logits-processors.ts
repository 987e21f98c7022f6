/**
 * What may happen to a row of next-token scores before a token is chosen. Every function here is pure: it
 * returns a new row and leaves its argument alone. A forbidden token has the score −Infinity.
 *
 * Source: Hugging Face transformers, `generation/logits_process.py`; the README names the class of each function.
 */

import { topIndices } from './top-candidates.ts';

/** Scores of one row, `[vocab]`: logits or log-probabilities. */
export type ScoreRow = Float32Array | Float64Array;

/**
 * Log-probabilities of a row of logits, `[vocab]`, in float64.
 *
 * @example
 * logSoftmax(Float32Array.of(0, 0)); // [-0.693…, -0.693…]
 */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const size = logits.length;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < size; id++) if (logits[id]! > highest) highest = logits[id]!;
  let sum = 0;
  for (let id = 0; id < size; id++) sum += Math.exp(logits[id]! - highest);
  const logSum = highest + Math.log(sum);
  const result = new Float64Array(size); // [vocab]
  for (let id = 0; id < size; id++) result[id] = logits[id]! - logSum;
  return result;
}

/**
 * Makes tokens that occurred before less likely (`penalty` above 1) or more likely (below 1): a positive score is
 * divided by the penalty, a negative one multiplied, once per distinct token.
 *
 * @param history - The ids that count as said; ids beyond the row are ignored.
 */
export function applyRepetitionPenalty<Row extends ScoreRow>(scores: Row, history: readonly number[], penalty: number): Row {
  const result = copyOf(scores);
  for (const id of new Set(history)) {
    if (id >= result.length) continue;
    const score = result[id]!;
    result[id] = score < 0 ? score * penalty : score / penalty;
  }
  return result;
}

/**
 * Forbids every token that would complete an n-gram of `history` a second time. A size of 1 forbids every id seen.
 *
 * @param size - Length of the n-grams, at least 1.
 */
export function forbidRepeatedNgrams<Row extends ScoreRow>(scores: Row, history: readonly number[], size: number): Row {
  const start = history.length - (size - 1); // of the last size − 1 tokens, which the next one would complete
  const completing: number[] = [];
  for (let begin = 0; begin + size <= history.length; begin++) {
    let offset = 0;
    while (offset < size - 1 && history[begin + offset] === history[start + offset]) offset++;
    if (offset === size - 1) completing.push(history[begin + offset]!);
  }
  return forbidTokens(scores, completing);
}

/** Forbids the given tokens: the end tokens, while a text is shorter than it must be. */
export function forbidTokens<Row extends ScoreRow>(scores: Row, ids: Iterable<number>): Row {
  const result = copyOf(scores);
  for (const id of ids) if (id < result.length) result[id] = Number.NEGATIVE_INFINITY;
  return result;
}

/** Divides the logits by a temperature above 0; below 1 sharpens. */
export function applyTemperature<Row extends ScoreRow>(scores: Row, temperature: number): Row {
  const result = copyOf(scores);
  for (let id = 0; id < result.length; id++) result[id] = result[id]! / temperature;
  return result;
}

/** Forbids all but the `k` highest scores. Tokens that tie with the k-th stay, so more than `k` may. */
export function keepTopK<Row extends ScoreRow>(scores: Row, k: number): Row {
  const result = copyOf(scores);
  if (k >= result.length) return result;
  const lowestKept = scores[topIndices(scores, k).at(-1)!]!;
  for (let id = 0; id < result.length; id++) if (result[id]! < lowestKept) result[id] = Number.NEGATIVE_INFINITY;
  return result;
}

/**
 * Keeps the smallest set of most likely tokens whose probability reaches `p`, and forbids the others. The most
 * likely token always stays; among equal scores the higher id counts as the likelier one, as a stable ascending
 * sort has it in the reference.
 */
export function keepTopP<Row extends ScoreRow>(scores: Row, p: number): Row {
  const result = copyOf(scores);
  if (p >= 1) return result;
  const probabilities = logSoftmax(scores).map(Math.exp); // [vocab]
  // A token goes when it and all less likely ones together have at most 1 − p, so when the likelier ones reach p.
  const { least, ties } = leastKept(probabilities, p);
  let left = ties;
  for (let id = result.length - 1; id >= 0; id--) {
    const probability = probabilities[id]!;
    if (probability < least || (probability === least && left-- <= 0)) result[id] = Number.NEGATIVE_INFINITY;
  }
  return result;
}

/** In a trained model so many tokens nearly always reach p; finding them spares sorting the vocabulary. */
const LIKELY_TOKENS = 256;

/** The least probability among the likeliest tokens that together reach `p`, and how many of them have it. */
function leastKept(probabilities: Float64Array, p: number): { least: number; ties: number } {
  const likely = Float64Array.from(topIndices(probabilities, LIKELY_TOKENS), (id) => probabilities[id]!); // descending
  const reaches = likely.reduce((sum, probability) => sum + probability, 0) >= p;
  const descending = reaches ? likely : probabilities.toSorted().toReversed();
  let mass = 0;
  let kept = 0;
  while (kept < descending.length && (kept === 0 || mass < p)) mass += descending[kept++]!;
  const least = descending[kept - 1]!;
  return { least, ties: descending.subarray(0, kept).filter((probability) => probability === least).length };
}

function copyOf<Row extends ScoreRow>(scores: Row): Row {
  return scores.slice() as Row;
}
