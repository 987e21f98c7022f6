import { seededRandom } from '@blip2/core/random';
import { InputError } from '@blip2/core/errors';
import type { BenchmarkRun, ScoredItem } from '../benchmarks/benchmark-run.ts';
import { listIds } from '../ids.ts';
import { type BootstrapOptions, bootstrapMean } from './bootstrap.ts';
import { shuffled } from './random.ts';

/** An item of two runs. */
export interface ItemChange {
  readonly first: ScoredItem;
  readonly second: ScoredItem;
  /** Score in the second run less that in the first. */
  readonly difference: number;
}

/** What {@link compareRuns} finds. Scores are in the units of the runs' items. */
export interface RunComparison {
  readonly first: BenchmarkRun;
  readonly second: BenchmarkRun;
  /** Main score of the second run less that of the first. */
  readonly difference: number;
  /** Where the difference lies, by a paired bootstrap. */
  readonly interval: readonly [low: number, high: number];
  readonly confidence: number;
  readonly samples: number;
  readonly seed: number;
  /** Shares of the items, from 0 to 1, whose score went up, stayed and went down. */
  readonly better: number;
  readonly equal: number;
  readonly worse: number;
  /** Every item, from the largest improvement to the largest regression; equal ones in a random order. */
  readonly changes: readonly ItemChange[];
  /** The largest improvements and regressions, the largest first. */
  readonly improvements: readonly ItemChange[];
  readonly regressions: readonly ItemChange[];
}

/** Options of {@link compareRuns}. */
export interface CompareOptions extends BootstrapOptions {
  /** How many improvements and regressions are listed. @default 12 */
  readonly examples?: number;
}

/**
 * Compares two runs of a benchmark over the same items: how much the main score changed, between which ends that lies, and where.
 *
 * Items are drawn with repetition together with both of their scores (a paired bootstrap), `samples` times; the interval holds the middle
 * `confidence` of the mean differences. An interval without 0 says that the change is not only luck in the choice of items; it says
 * nothing of other seeds in training, and is too narrow where items depend on each other, as questions about one image do.
 * Main scores that are no mean over items, such as BLEU, have no place here.
 *
 * @param first - The run to start from.
 * @param second - The run that is asked about: its improvements are positive.
 * @throws {InputError} when benchmarks, main scores or items differ, or an option is out of range.
 *
 * @example
 * const { difference, interval } = compareRuns(before, after);
 * console.log(`${difference.toFixed(2)}, 95 % from ${interval[0].toFixed(2)} to ${interval[1].toFixed(2)}`);
 *
 * Source: Koehn, Statistical significance tests for machine translation evaluation (EMNLP 2004), for the pairing; for how samples are
 * drawn see `bootstrapMean`.
 */
export function compareRuns(first: BenchmarkRun, second: BenchmarkRun, options: CompareOptions = {}): RunComparison {
  const { samples = 10_000, seed = 1, confidence = 0.95, examples = 12 } = options;
  assertComparable(first, second);
  const pairs = pairItems(first, second);
  const {
    mean: difference,
    low,
    high,
  } = bootstrapMean(
    pairs.map((pair) => pair.difference),
    { samples, seed, confidence },
  );
  const changes = shuffled(pairs, seededRandom(seed)).toSorted((a, b) => b.difference - a.difference);
  const better = pairs.filter((pair) => pair.difference > 0).length;
  const worse = pairs.filter((pair) => pair.difference < 0).length;
  return {
    first,
    second,
    difference,
    interval: [low, high],
    confidence,
    samples,
    seed,
    better: better / pairs.length,
    equal: (pairs.length - better - worse) / pairs.length,
    worse: worse / pairs.length,
    changes,
    improvements: changes.slice(0, Math.min(examples, better)),
    regressions: worse === 0 ? [] : changes.slice(-Math.min(examples, worse)).toReversed(),
  };
}

function assertComparable(first: BenchmarkRun, second: BenchmarkRun): void {
  for (const what of ['benchmark', 'mainScore'] as const) {
    if (first[what] !== second[what])
      throw new InputError(
        `compareRuns: the first run has the ${what} '${first[what]}', the second '${second[what]}', expected the same. ` +
          `Compare runs of one benchmark.`,
      );
  }
}

function pairItems(first: BenchmarkRun, second: BenchmarkRun): ItemChange[] {
  const [before, after] = keyed(first, second);
  const onlyBefore = [...before].filter(([key]) => !after.has(key)).map(([, { id }]) => id);
  const onlyAfter = [...after].filter(([key]) => !before.has(key)).map(([, { id }]) => id);
  if (onlyBefore.length > 0 || onlyAfter.length > 0) {
    const missing = [
      ...(onlyBefore.length > 0 ? [`${onlyBefore.length} of the first are not in the second (${listIds(onlyBefore)})`] : []),
      ...(onlyAfter.length > 0 ? [`${onlyAfter.length} of the second are not in the first (${listIds(onlyAfter)})`] : []),
    ];
    throw new InputError(
      `compareRuns: the runs have different items: ${missing.join(', and ')}. Expected the same ids in both. ` +
        `Score both on one annotation file, or take the items out that one lacks.`,
    );
  }
  return [...before].map(([key, item]) => {
    const other = after.get(key)!;
    return { first: item, second: other, difference: other.score - item.score };
  });
}

type Keyed = ReadonlyMap<string, ScoredItem>;

/** Items by id; where a run has an id twice, as retrieval may for an image and a text, by id and groups. */
function keyed(first: BenchmarkRun, second: BenchmarkRun): [before: Keyed, after: Keyed] {
  const byId = ({ id }: ScoredItem): string => JSON.stringify(id);
  const byGroups = ({ id, groups = {} }: ScoredItem): string =>
    JSON.stringify([id, Object.entries(groups).toSorted(([a], [b]) => (a < b ? -1 : 1))]);
  const isUnique = ({ items }: BenchmarkRun): boolean => new Set(items.map(byId)).size === items.length;
  const keyOf = isUnique(first) && isUnique(second) ? byId : byGroups;
  const index = (which: string, { items }: BenchmarkRun): Keyed => {
    const all = new Map<string, ScoredItem>();
    for (const item of items) {
      const key = keyOf(item);
      if (all.has(key))
        throw new InputError(
          `compareRuns: the ${which} run has two items with the id ${listIds([item.id])} and the same groups, expected one. Remove one of them.`,
        );
      all.set(key, item);
    }
    return all;
  };
  return [index('first', first), index('second', second)];
}
