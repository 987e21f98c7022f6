import type { Id } from '../ids.ts';

/** The benchmarks, by the names that the command has for them. */
export const BENCHMARKS = ['coco-caption', 'nocaps', 'vqav2', 'gqa', 'flickr30k', 'coco-retrieval'] as const;
export type Benchmark = (typeof BENCHMARKS)[number];

/** One item of a run: an image, or a question about one, or for retrieval a text that looks for its image. */
export interface ScoredItem {
  /** Of the image for captions and retrieval from an image, of the question for answers, of the text for retrieval from a text. */
  readonly id: Id;
  /** Its share in the main score: their mean is {@link BenchmarkRun.mainScore}. */
  readonly score: number;
  /** Scores of the same item by other metrics, by their names. */
  readonly otherScores?: Readonly<Record<string, number>>;
  /** What the model said; for retrieval, the texts or the image that it ranked first. */
  readonly prediction: string;
  /** What people said, or what was to be found. */
  readonly references: readonly string[];
  readonly question?: string;
  /** The image's file, as the annotations name it, where there is one. */
  readonly image?: string;
  /** Groups that the item is counted in, by the name of the grouping: `{ 'answer type': 'yes/no' }`. */
  readonly groups?: Readonly<Record<string, string>>;
}

/** A benchmark that was run: all that tables, reports and comparisons need, and nothing that JSON could not hold. */
export interface BenchmarkRun {
  readonly benchmark: Benchmark;
  /** Name of the model, or of the result file. */
  readonly model: string;
  /** ISO 8601, when it ended. */
  readonly date: string;
  /** Name of the annotation file, which says what the numbers are numbers of. */
  readonly annotations?: string;
  /** Prompt, decoding, image size and so on; absent for predictions that came as a file. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Versions of packages and programs, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Name of the score that items have a share in: `CIDEr`, `accuracy`, `R@1`. */
  readonly mainScore: string;
  /** What `blip2 eval --json` prints: names and values, nested where the benchmark has parts. */
  readonly scores: Readonly<Record<string, unknown>>;
  /** Why a metric is not there, by its name. */
  readonly unavailable?: Readonly<Record<string, string>>;
  readonly items: readonly ScoredItem[];
}
