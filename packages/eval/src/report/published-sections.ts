import type { Benchmark, BenchmarkRun } from '../benchmarks/benchmark-run.ts';
import { type PublishedResult, publishedResults } from '../benchmarks/published.ts';
import { BENCHMARK_WORDS, scoreTitle } from './run-scores.ts';

/** A score that published tables have. */
export interface ScoreColumn {
  /** In `PublishedResult.scores`. */
  readonly name: string;
  readonly title: string;
  /** In `BenchmarkRun.scores`. */
  readonly path: readonly string[];
  /** Where it is not there. */
  readonly otherPath?: readonly string[];
  /** By which models are compared. */
  readonly isMain?: boolean;
}

const RECALLS: readonly ScoreColumn[] = ['txt_r1', 'txt_r5', 'txt_r10', 'img_r1', 'img_r5', 'img_r10'].map((name) => ({
  name,
  title: scoreTitle(name),
  path: [name],
  isMain: name.endsWith('_r1'),
}));

const COLUMNS: Readonly<Record<Benchmark, readonly ScoreColumn[]>> = {
  'coco-caption': ['Bleu_1', 'Bleu_2', 'Bleu_3', 'Bleu_4', 'METEOR', 'ROUGE_L', 'CIDEr', 'SPICE'].map((name) => ({
    name,
    title: scoreTitle(name),
    path: [name],
    isMain: name === 'CIDEr',
  })),
  nocaps: ['in-domain', 'near-domain', 'out-domain', 'entire'].flatMap((domain) =>
    ['CIDEr', 'SPICE'].map((metric) => ({
      name: `${domain} ${metric}`,
      title: `${metric}, ${scoreTitle(domain)}`,
      path: [domain, metric],
      isMain: domain === 'entire' && metric === 'CIDEr',
    })),
  ),
  vqav2: [
    { name: 'overall', title: 'accuracy', path: ['overall'], isMain: true },
    ...['yes/no', 'number', 'other'].map((name) => ({ name, title: name, path: ['perAnswerType', name] })),
  ],
  gqa: [{ name: 'accuracy', title: 'accuracy', path: ['normalizedAccuracy'], otherPath: ['accuracy'], isMain: true }],
  flickr30k: RECALLS,
  'coco-retrieval': RECALLS,
};

/** Published numbers of one protocol on one split, beside those of a run. */
export interface PublishedSection {
  readonly title: string;
  /** Those that a published row has. */
  readonly columns: readonly ScoreColumn[];
  /** The run's, in the paper's units, one for each column. */
  readonly ours: readonly (number | undefined)[];
  readonly rows: readonly PublishedRow[];
}

/** A published result; `shown` has its numbers as they are printed, one for each column. */
export interface PublishedRow extends PublishedResult {
  readonly shown: readonly (string | undefined)[];
}

/** What a run is compared with. */
export function publishedSections(run: BenchmarkRun): PublishedSection[] {
  const { factor } = BENCHMARK_WORDS[run.benchmark];
  const sections = Map.groupBy(publishedResults[run.benchmark], ({ protocol, split }) => `${protocol}, ${split}`);
  return [...sections].map(([title, results]) => {
    const columns = COLUMNS[run.benchmark].filter(({ name }) => results.some(({ scores }) => scores[name] !== undefined));
    const digits = new Map(
      [...Map.groupBy(results, ({ source }) => source)].map(([source, some]) => [source, digitsOf(some)] as const),
    );
    const rows = results.map((row) => ({
      ...row,
      shown: columns.map(({ name }) => row.scores[name]?.toFixed(digits.get(row.source))),
    }));
    return {
      title,
      columns,
      rows,
      ours: columns.map(
        ({ path, otherPath = [] }) => scoreAt(run.scores, path, factor) ?? scoreAt(run.scores, otherPath, factor),
      ),
    };
  });
}

/** Digits after the point in a table: one or two. */
function digitsOf(results: readonly PublishedResult[]): number {
  const hasTwo = results.some(({ scores }) => Object.values(scores).some((score) => Number(score.toFixed(1)) !== score));
  return hasTwo ? 2 : 1;
}

function scoreAt(scores: unknown, path: readonly string[], factor: number): number | undefined {
  const value = path.reduce<unknown>(
    (part, name) => (typeof part === 'object' && part !== null ? (part as Record<string, unknown>)[name] : undefined),
    scores,
  );
  return typeof value === 'number' ? value * factor : undefined;
}
