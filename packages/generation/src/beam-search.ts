/**
 * Beam search as Hugging Face transformers does it (`GenerationMixin._beam_search`, version 5), one prompt after the
 * other in step. With B beams, n end tokens and length penalty a:
 *
 *   running ← { (empty text, score 0) }, finished ← { }
 *   for length = 1 … maxNewTokens:
 *     each running beam is extended by each token; score += log p(token), as the rules leave it
 *     candidates ← the best max(2, 1 + n) · B of all extensions
 *     a candidate is complete when its token is an end token, or length = maxNewTokens
 *     finished ← the best B of finished and the complete ones among the first B candidates,
 *                by score / length^a
 *     running ← the best B incomplete candidates
 *     stop when nothing that runs can get into `finished` any more (see `canImprove`)
 *
 * The reference starts with B equal beams, all but the first at −10⁹, so that only the first one's extensions
 * count. Starting with one beam is the same, and runs the prompt once.
 *
 * Prompts do not influence each other: a prompt that is done leaves the session's rows.
 */

import type { DecodingSession, GenerateOptions } from '@blip2/core';
import { resolveSettings, type DecodingSettings } from './decoding-settings.ts';
import { finishedSequence, type GeneratedSequence } from './generated-sequence.ts';
import { logSoftmax } from './logits-processors.ts';
import { applySequenceRules, nothingAllowed, SessionDriver, type AbortOptions } from './session-driver.ts';
import { topIndices } from './top-candidates.ts';

/** A text that may still grow. */
interface RunningBeam {
  readonly tokenIds: readonly number[];
  /** Σ log p */
  readonly score: number;
  /** The session's row that holds the text without its last token. */
  readonly row: number;
}

/** A complete text. */
interface FinishedBeam {
  readonly tokenIds: readonly number[];
  /** Σ log p / length^lengthPenalty */
  readonly score: number;
}

/** The search for one prompt's texts. */
interface PromptSearch {
  readonly prompt: number;
  running: readonly RunningBeam[]; // best first, at most `beams`
  finished: readonly FinishedBeam[]; // best first, at most `beams`
  done: boolean;
}

/**
 * Finds for each prompt the `returnSequences` best texts.
 *
 * @param where - The function that was called, for messages.
 * @throws {InputError} when an option cannot be meant, or when the rules leave a prompt no text at all.
 */
export async function beamSearch(
  session: DecodingSession,
  options: GenerateOptions & AbortOptions,
  where: string,
): Promise<GeneratedSequence[][]> {
  const settings = resolveSettings(session, options, where);
  const driver = new SessionDriver(session, options, where);
  const { promptIds } = session;
  const searches = Array.from({ length: session.rows }, (_, prompt): PromptSearch => {
    return { prompt, running: [{ tokenIds: [], score: 0, row: prompt }], finished: [], done: false };
  });
  let logits = await driver.start(); // prompts × [vocab]
  let open = searches;
  for (let length = 1; open.length > 0; length++) {
    let row = 0;
    for (const search of open) {
      const logProbabilities = search.running.map(({ tokenIds }) => {
        return applySequenceRules(logSoftmax(logits[row++]!), promptIds[search.prompt]!, tokenIds, settings);
      }); // running beams × [vocab]
      advance(search, logProbabilities, row - search.running.length, length, settings);
    }
    open = open.filter((search) => !search.done);
    const beams = open.flatMap((search) => search.running);
    if (beams.length === 0) break;
    const parents = beams.map((beam) => beam.row);
    const tokens = beams.map((beam) => beam.tokenIds.at(-1)!);
    logits = await driver.step(parents, tokens); // all running beams × [vocab]
  }
  return searches.map(({ prompt, finished }) => {
    if (finished.length === 0) throw nothingAllowed(where, prompt);
    const best = finished.slice(0, settings.returnSequences);
    return best.map(({ tokenIds, score }) => finishedSequence(tokenIds, settings.endTokenIds, score));
  });
}

/**
 * One step of one prompt's search.
 *
 * @param logProbabilities - For each running beam, log p of each next token as the rules leave it, `[vocab]`.
 * @param firstRow - The session's row of the first running beam.
 * @param length - New tokens of a candidate, from 1.
 */
function advance(
  search: PromptSearch,
  logProbabilities: readonly Float64Array[],
  firstRow: number,
  length: number,
  settings: DecodingSettings,
): void {
  const { beams, endTokenIds, maxNewTokens, lengthPenalty } = settings;
  // At most n · B of these can end, so at least B can go on.
  const width = Math.max(2, 1 + endTokenIds.size) * beams;
  const candidates = bestExtensions(search.running, logProbabilities, firstRow, width);
  const isComplete = ({ tokenIds }: RunningBeam): boolean => length === maxNewTokens || endTokenIds.has(tokenIds.at(-1)!);
  // A complete candidate behind the first B does not count: the others only keep the search B beams wide.
  const completed = candidates.slice(0, beams).filter(isComplete);
  const normalised = completed.map(({ tokenIds, score }) => ({ tokenIds, score: score / length ** lengthPenalty }));
  search.finished = [...search.finished, ...normalised].toSorted((left, right) => right.score - left.score).slice(0, beams);
  search.running = candidates.filter((candidate) => !isComplete(candidate)).slice(0, beams);
  search.done = search.running.length === 0 || !canImprove(search, length, settings);
}

/** The best `count` extensions of the running beams by one token, best first; the lower beam and id first among equals. */
function bestExtensions(
  running: readonly RunningBeam[],
  logProbabilities: readonly Float64Array[],
  firstRow: number,
  count: number,
): RunningBeam[] {
  return running
    .flatMap((beam, index) => {
      const row = logProbabilities[index]!;
      return topIndices(row, count).map((id) => ({ beam, index, id, score: beam.score + row[id]! }));
    })
    .toSorted((left, right) => right.score - left.score) // stable
    .slice(0, count)
    .map(({ beam, index, id, score }) => ({ tokenIds: [...beam.tokenIds, id], score, row: firstRow + index }));
}

/**
 * Whether the search goes on: always while fewer than B texts are finished; then not at all with `earlyStopping`
 * true, and otherwise as long as the best running beam, at a supposed final length, beats the worst finished text.
 * The supposed length is the present one, except that `'never'` with a positive penalty, under which scores may
 * still rise, supposes the longest possible text.
 */
function canImprove(
  { running, finished }: PromptSearch,
  length: number,
  { beams, earlyStopping, lengthPenalty, maxNewTokens }: DecodingSettings,
): boolean {
  if (finished.length < beams) return true;
  if (earlyStopping === true) return false;
  const supposedLength = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : length;
  return running[0]!.score / supposedLength ** lengthPenalty > finished.at(-1)!.score;
}
