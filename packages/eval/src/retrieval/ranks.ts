import { InputError } from '@blip2/core/errors';

/** Scores of one query against all candidates. */
export type ScoreRow = ArrayLike<number>;

/**
 * Position, from 0, of the best of the relevant candidates when a row is sorted by descending score.
 * Of equal scores the larger index comes first: a stable ascending sort, reversed.
 *
 * @throws {InputError} when nothing is relevant, an index is outside the row, or a score is not a number.
 *
 * Source: LAVIS `retrieval.py`, `_report_metrics`, whose sort leaves the order of equal scores open.
 */
export function bestRank(scores: ScoreRow, relevant: readonly number[]): number {
  let best = -1;
  for (const index of relevant) {
    if (!(index >= 0 && index < scores.length))
      throw new InputError(
        `bestRank: candidate ${index} is relevant, but the row has ${scores.length} scores. Score every candidate, in the order of the ids.`,
      );
    if (best < 0 || comesBefore(scores, index, best)) best = index;
  }
  if (best < 0)
    throw new InputError('bestRank: no candidate is relevant, expected at least one. Leave out images without captions.');
  let rank = 0;
  for (let index = 0; index < scores.length; index += 1) {
    if (Number.isNaN(scores[index]))
      throw new InputError(`bestRank: score ${index} of ${scores.length} is not a number. Check the features it was made of.`);
    if (comesBefore(scores, index, best)) rank += 1;
  }
  return rank;
}

/**
 * The `k` candidates with the largest scores, best first, in the order of {@link bestRank}; all of them when there are fewer.
 */
export function bestCandidates(scores: ScoreRow, k: number): number[] {
  const best: number[] = [];
  for (let index = 0; index < scores.length; index += 1) {
    if (best.length === k && !(k > 0 && comesBefore(scores, index, best[k - 1]!))) continue;
    let [low, high] = [0, best.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comesBefore(scores, index, best[middle]!)) high = middle;
      else low = middle + 1;
    }
    best.splice(low, 0, index);
    if (best.length > k) best.pop();
  }
  return best;
}

function comesBefore(scores: ScoreRow, one: number, other: number): boolean {
  return scores[one]! > scores[other]! || (scores[one] === scores[other] && one > other);
}
