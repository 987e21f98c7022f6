/** What METEOR counts for an image, as its `SCORE` answers have it; summed, that of a corpus. */
export type MeteorStatistics = readonly number[];

/** Fields of the statistics: lengths and function words of both sides, four numbers for each of four modules, chunks, matched words of both sides. */
export const STATISTICS = 23;

const ALPHA = 0.85; // weight of recall
const BETA = 0.2; // exponent of fragmentation
const GAMMA = 0.6; // weight of fragmentation
const DELTA = 0.75; // weight of content words
/** By position: a run with fewer modules takes the first ones, whatever they are. */
const MODULE_WEIGHTS = [1, 0.6, 0.8, 0.6];
const [CHUNKS, HYPOTHESIS_MATCHED, REFERENCE_MATCHED] = [20, 21, 22];

/**
 * METEOR's score of statistics, from 0 to 1, with the English parameters.
 *
 * Source: Denkowski and Lavie 2014; METEOR 1.5 `MeteorScorer.computeMetrics`.
 */
export function meteorScore(statistics: MeteorStatistics): number {
  const precision = share(statistics, 0);
  const recall = share(statistics, 1);
  const mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall);
  const [chunks, matched] = [statistics[CHUNKS]!, (statistics[HYPOTHESIS_MATCHED]! + statistics[REFERENCE_MATCHED]!) / 2];
  const fragmentation = isOneChunk(statistics) ? 0 : chunks / matched;
  const score = mean * (1 - GAMMA * fragmentation ** BETA);
  return score > 0 ? score : 0; // nothing matched is not a number before
}

/**
 * The statistics of all images together. Chunks of an image that is matched wholly in one chunk do not count.
 */
export function addMeteorStatistics(all: readonly MeteorStatistics[]): number[] {
  const sum = Array.from({ length: STATISTICS }, () => 0);
  for (const one of all)
    for (const [field, value] of one.entries()) if (field !== CHUNKS || !isOneChunk(one)) sum[field]! += value;
  return sum;
}

/** Weighted matches over weighted length of the hypothesis (0) or the reference (1). */
function share(statistics: MeteorStatistics, side: 0 | 1): number {
  const weighted = (content: number, functionWords: number): number => DELTA * content + (1 - DELTA) * functionWords;
  const [length, functionWords] = [statistics[side]!, statistics[2 + side]!];
  const matches = MODULE_WEIGHTS.reduce(
    (sum, weight, index) => sum + weight * weighted(statistics[4 + 4 * index + side]!, statistics[6 + 4 * index + side]!),
    0,
  );
  return matches / weighted(length - functionWords, functionWords);
}

function isOneChunk(statistics: MeteorStatistics): boolean {
  return (
    statistics[CHUNKS] === 1 &&
    statistics[HYPOTHESIS_MATCHED] === statistics[0] &&
    statistics[REFERENCE_MATCHED] === statistics[1]
  );
}
