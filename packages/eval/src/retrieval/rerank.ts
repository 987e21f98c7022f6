import { InputError } from '@blip2/core/errors';
import { bestCandidates } from './ranks.ts';
import type { ScoreRow } from './ranks.ts';

/** Score of candidates that are not ranked again; LAVIS `blip2_qformer.py`, `compute_sim_matrix`. */
export const NOT_RANKED = -100;

/** Which candidates of each row are worth a closer look. */
export interface RerankCandidates {
  /** For each row the indices with the largest similarity, best first. */
  readonly candidates: readonly (readonly number[])[];
  /** How many there are a row: what was asked for, or the whole row when it is shorter. */
  readonly topK: number;
}

/**
 * The candidates that image-text matching ranks again, `topK` a row.
 *
 * @param similarity - Rows of equal length: `[images, captions]` or `[captions, images]`.
 * @param topK - 128 in the published configurations. LAVIS fails when a row is shorter; here the whole row is taken, and said so.
 * @throws {InputError} when `topK` is not a positive whole number.
 *
 * Source: LAVIS `blip2_qformer.py`, `compute_sim_matrix`.
 */
export function rerankCandidates(similarity: readonly ScoreRow[], topK: number): RerankCandidates {
  if (!Number.isInteger(topK) || topK < 1)
    throw new InputError(`rerankCandidates: topK is ${topK}, expected a whole number of at least 1. BLIP-2 uses 128.`);
  const clamped = Math.min(topK, ...new Set(similarity.map((row) => row.length)));
  return { candidates: similarity.map((row) => bestCandidates(row, clamped)), topK: clamped };
}

/**
 * Scores after the second look: matching score + similarity for the candidates, -100 for all others; float32.
 *
 * @param similarity - As given to {@link rerankCandidates}.
 * @param candidates - Its result.
 * @param matching - For each row the matching scores of its candidates: logit 1, mean over queries, no softmax.
 * @throws {InputError} when a row has not one score a candidate.
 */
export function rerankedScores(
  similarity: readonly ScoreRow[],
  candidates: readonly (readonly number[])[],
  matching: readonly ScoreRow[],
): Float32Array[] {
  return similarity.map((row, index) => {
    const [chosen, scores] = [candidates[index] ?? [], matching[index] ?? []];
    if (chosen.length !== scores.length)
      throw new InputError(
        `rerankedScores: row ${index} has ${scores.length} matching scores for ${chosen.length} candidates, expected one each. Score the candidates in their order.`,
      );
    const output = new Float32Array(row.length).fill(NOT_RANKED);
    for (const [position, candidate] of chosen.entries()) output[candidate] = row[candidate]! + scores[position]!;
    return output;
  });
}
