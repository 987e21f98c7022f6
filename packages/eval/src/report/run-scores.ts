import type { Benchmark, BenchmarkRun } from '../benchmarks/benchmark-run.ts';

/** How the scores of a benchmark are told. */
export interface BenchmarkWords {
  readonly title: string;
  /** What items are, in the plural. */
  readonly items: string;
  /** What a score is multiplied with, so that it has the paper's unit. */
  readonly factor: 1 | 100;
  readonly unit: '%' | '× 100';
  /** What has to be known of the published numbers. */
  readonly note?: string;
}

const CAPTIONS = { items: 'images', factor: 100, unit: '× 100' } as const;
const QUESTIONS = { items: 'questions', factor: 1, unit: '%' } as const;
const RETRIEVAL = { items: 'queries', factor: 1, unit: '%' } as const;

const NORMALIZED =
  'Those of BLIP-2 compare answers after the normalisation of VQA, and so does the number of this run beside them, where it has one.';
const ON_COCO = 'Zero-shot here means that the models were fine-tuned on COCO.';

/** The words of each benchmark. */
export const BENCHMARK_WORDS: Readonly<Record<Benchmark, BenchmarkWords>> = {
  'coco-caption': { title: 'COCO captions', ...CAPTIONS },
  nocaps: { title: 'NoCaps', ...CAPTIONS, note: ON_COCO },
  vqav2: { title: 'VQAv2', ...QUESTIONS },
  gqa: { title: 'GQA', ...QUESTIONS, note: NORMALIZED },
  flickr30k: { title: 'Flickr30K retrieval', ...RETRIEVAL, note: ON_COCO },
  'coco-retrieval': { title: 'COCO retrieval', ...RETRIEVAL },
};

const TITLES: ReadonlyMap<string, string> = new Map([
  ['Bleu_1', 'BLEU-1'],
  ['Bleu_2', 'BLEU-2'],
  ['Bleu_3', 'BLEU-3'],
  ['Bleu_4', 'BLEU-4'],
  ['ROUGE_L', 'ROUGE-L'],
  ['overall', 'accuracy'],
  ['entire', 'all domains'],
  ['distribution', 'distribution (lower is better)'],
  ['r_mean', 'mean of all recalls'],
  ['agg_metrics', 'agg_metrics (text R, mean)'],
]);

/** A score's name as people read it: `txt_r1` is `text R@1`, `perAnswerType` is `answer type`. */
export function scoreTitle(name: string): string {
  const recall = /^(txt|img)_r(?:_(mean)|(\d+))$/.exec(name);
  if (recall !== null)
    return `${recall[1] === 'txt' ? 'text' : 'image'} ${recall[2] === undefined ? `R@${recall[3]}` : 'R, mean'}`;
  return (
    TITLES.get(name) ??
    name
      .replace(/^per(?=[A-Z])/, '')
      .replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
      .replace(/^[A-Z](?=[a-z ]+$)/, (letter) => letter.toLowerCase())
  );
}

/** A score in the paper's unit, with two digits. */
export function shownScore(score: number, { factor }: BenchmarkWords): string {
  return (score * factor).toFixed(2);
}

/** The main score: the mean of the items'. `undefined` without items. */
export function mainValue({ items }: BenchmarkRun): number | undefined {
  return items.length === 0 ? undefined : items.reduce((sum, { score }) => sum + score, 0) / items.length;
}

/** A table of scores: one row for the whole, for each domain, or for each direction of retrieval. */
export interface ScoreTable {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly scores: readonly (number | undefined)[] }[];
}

export type Numbers = Readonly<Record<string, number>>;

/** Whether all values of an object are numbers. */
export function isNumbers(value: unknown): value is Numbers {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'number');
}

/** The run's scores but for breakdowns, in its units; what is unavailable has no value, also where the official script has a 0. */
export function scoreTable({ scores, unavailable = {} }: BenchmarkRun): ScoreTable {
  const isThere = (name: string): boolean => !Object.hasOwn(unavailable, name);
  const flat = Object.entries(scores).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  const parts = Object.entries(scores).filter(
    (entry): entry is [string, Numbers] => !/^per[A-Z]/.test(entry[0]) && isNumbers(entry[1]),
  );
  if (flat.length === 0 && parts.length > 0) {
    const columns = [...new Set(parts.flatMap(([, part]) => Object.keys(part)))];
    return {
      columns: columns.map(scoreTitle),
      rows: parts.map(([name, part]) => ({
        name: scoreTitle(name),
        scores: columns.map((column) => (isThere(column) ? part[column] : undefined)),
      })),
    };
  }
  return {
    columns: flat.map(([name]) => scoreTitle(name)),
    rows: [{ name: 'all', scores: flat.map(([name, value]) => (isThere(name) ? value : undefined)) }],
  };
}

/** Settings or versions as lines; nested ones have their names joined by points. */
export function flatEntries(record: Readonly<Record<string, unknown>>, prefix = ''): [name: string, value: string][] {
  return Object.entries(record).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return flatEntries(value as Record<string, unknown>, `${prefix}${name}.`);
    return [[`${prefix}${name}`, typeof value === 'string' ? value : JSON.stringify(value)] as [string, string]];
  });
}

/** What was scored, in words. */
export function scoredWords({ benchmark, items, annotations }: BenchmarkRun): string {
  const count = countWords(items.length, BENCHMARK_WORDS[benchmark]);
  return annotations === undefined ? count : `${count} of ${annotations}`;
}

/** `1 image`, `5,000 images`. */
export function countWords(count: number, { items }: BenchmarkWords): string {
  const singular = items === 'queries' ? 'query' : items.slice(0, -1);
  return `${count.toLocaleString('en')} ${count === 1 ? singular : items}`;
}

/** What has to be said before somebody compares a run with published numbers. */
export function comparisonNote(run: BenchmarkRun): string {
  const { note } = BENCHMARK_WORDS[run.benchmark];
  return (
    `Published numbers are those of the split that is named with them${note === undefined ? '.' : `. ${note}`} ` +
    `This run scored ${scoredWords(run)}: compare only if these are the same items.`
  );
}

/** A date as people read it, the same for every reader, so in UTC; as it is where it is none. */
export function dateWords(date: string): string {
  const time = new Date(date).getTime();
  return Number.isNaN(time) ? date : `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
