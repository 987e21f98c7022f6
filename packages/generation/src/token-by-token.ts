import { seededRandom } from '@blip2/core';
import type { DecodingSession, GenerateOptions, Random, SamplingOptions } from '@blip2/core';
import { resolveSettings, type DecodingSettings } from './decoding-settings.ts';
import { applyTemperature, keepTopK, keepTopP, logSoftmax } from './logits-processors.ts';
import { applySequenceRules, nothingAllowed, SessionDriver, type AbortOptions } from './session-driver.ts';
import { topIndices } from './top-candidates.ts';

/** A sequence that greedy search or sampling writes. */
export interface GrowingSequence {
  readonly prompt: number;
  readonly newTokenIds: number[];
  readonly random: Random;
  /** The session's row that continues the sequence. */
  row: number;
}

/**
 * Greedy search and sampling: `returnSequences` sequences for each prompt grow by one token at a time, and those
 * that end leave the session's rows.
 *
 * Each sequence draws from a generator of its own, seeded by the seed and its number within the prompt. So a
 * prompt's texts do not depend on what else is in the batch.
 *
 * @param where - The function that was called, for messages.
 * @yields all sequences in order of prompts, after each token.
 */
export async function* growSequences(
  session: DecodingSession,
  options: GenerateOptions & AbortOptions,
  where: string,
): AsyncGenerator<readonly GrowingSequence[]> {
  const settings = resolveSettings(session, options, where);
  const driver = new SessionDriver(session, options, where);
  const { returnSequences, sampling, endTokenIds, maxNewTokens } = settings;
  const seed = sampling?.seed ?? 0;
  const sequences = Array.from({ length: session.rows * returnSequences }, (_, index): GrowingSequence => {
    const prompt = Math.floor(index / returnSequences);
    const random = seededRandom(seed ^ Math.imul(index % returnSequences, SEED_STRIDE));
    return { prompt, newTokenIds: [], random, row: prompt };
  });
  let logits = await driver.start(); // prompts × [vocab]
  let open = sequences;
  for (;;) {
    for (const sequence of open) {
      // Only sampling can stray into ids that no token has; a search takes what the reference takes.
      const reach = sampling === undefined ? logits[sequence.row]!.length : session.usableVocabSize;
      const scores = Float64Array.from(logits[sequence.row]!.subarray(0, reach)); // [vocab]
      const ruled = applySequenceRules(scores, session.promptIds[sequence.prompt]!, sequence.newTokenIds, settings);
      const tokenId = sampling === undefined ? topIndices(ruled, 1)[0] : drawToken(ruled, sampling, sequence.random);
      if (tokenId === undefined) throw nothingAllowed(where, sequence.prompt);
      sequence.newTokenIds.push(tokenId);
    }
    yield sequences;
    open = open.filter(({ newTokenIds }) => !isComplete(newTokenIds, endTokenIds, maxNewTokens));
    if (open.length === 0) return;
    const parents = open.map(({ row }) => row);
    const tokens = open.map(({ newTokenIds }) => newTokenIds.at(-1)!);
    logits = await driver.step(parents, tokens); // open sequences × [vocab]
    for (const [row, sequence] of open.entries()) sequence.row = row;
  }
}

/** Sets the seeds of a prompt's sequences apart: 2³² / golden ratio, as in splitmix32. */
const SEED_STRIDE = 0x9e3779b9;

function isComplete(newTokenIds: readonly number[], endTokenIds: DecodingSettings['endTokenIds'], maxNewTokens: number): boolean {
  return newTokenIds.length === maxNewTokens || endTokenIds.has(newTokenIds.at(-1)!);
}

/** Draws a token from logits `[vocab]`: temperature, top-k, top-p, then one uniform number. */
function drawToken(logits: Float64Array, options: Required<SamplingOptions>, random: Random): number | undefined {
  const { temperature, topK, topP } = options;
  let scores = logits;
  if (temperature !== 1) scores = applyTemperature(scores, temperature);
  if (topK > 0) scores = keepTopK(scores, topK);
  if (topP < 1) scores = keepTopP(scores, topP);
  const probabilities = logSoftmax(scores).map(Math.exp); // [vocab]
  // NaN when every token is forbidden, and then nothing is drawn.
  let rest = random() * probabilities.reduce((sum, probability) => sum + probability, 0);
  let drawn: number | undefined;
  for (let id = 0; id < probabilities.length && rest >= 0; id++) {
    if (!(probabilities[id]! > 0)) continue;
    drawn = id;
    rest -= probabilities[id]!;
  }
  return drawn;
}
