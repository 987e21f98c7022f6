import type { DatasetError } from '@blip2/core';

/** Options of everything that reads. */
export interface ReadOptions {
  /** Stops reading; the call rejects with the signal's reason. */
  readonly abortSignal?: AbortSignal;
}

/** An answer and how much it counts: the weights of one question's answers add up to 1. */
export interface WeightedAnswer {
  readonly answer: string;
  /** In (0, 1]. */
  readonly weight: number;
}

/** A question about an image, as its file has it: no text processing. */
export interface Question {
  /** As the files of the data set and its results write it. */
  readonly id: number | string;
  readonly text: string;
  /** Distinct answers, in order of appearance; absent where the file has none, as in test splits. */
  readonly answers?: readonly WeightedAnswer[];
}

/**
 * One row of a data set: an image and what is said or asked about it. Texts are as in the file; training and evaluation
 * apply their own processing (`processCaption` of `@blip2/tokenizers`).
 */
export interface DatasetRecord {
  /** Unique in its data set: `coco:522418#2`. */
  readonly key: string;
  /** The same for all rows of a picture, in every data set that has it, and for no other: `coco:522418`. */
  readonly imageKey: string;
  /** The image's id as result files of the data set write it: `522418`. */
  readonly imageId: number | string;
  /**
   * The bytes of the image's file, still encoded. Nothing is read before.
   *
   * @returns bytes that may be shared: read them, leave them as they are.
   * @throws {DatasetError} when the file is missing, not a file, too large, or lies outside the data set's folder.
   * @throws the abort signal's reason.
   */
  readImage(options?: ReadOptions): Promise<Uint8Array>;
  /** Paths of the image's file: the first that is there is it. Absent where bytes come from elsewhere, such as shards. */
  readonly imageFiles?: readonly string[];
  /** One caption for rows of training; all of them where rows are images. */
  readonly captions?: readonly string[];
  readonly question?: Question;
  /** `train`, `val`, `test`, where the file says so. */
  readonly split?: string;
  /** NoCaps: `in-domain`, `near-domain` or `out-domain`. */
  readonly domain?: string;
}

/**
 * A data set whose rows can be had in any order.
 *
 * @typeParam Row - {@link DatasetRecord}, or anything else that a stream shall shuffle, such as places in a feature store.
 */
export interface IndexedDataset<Row = DatasetRecord> {
  /** For messages and positions: `coco captions`. */
  readonly name: string;
  readonly length: number;
  /** @throws {InputError} when `index` is not an integer in `[0, length)`. */
  at(index: number): Row;
}

/** What a source of a stream gives: a row, or what is wrong with it. */
export type RowOrProblem<Row> = Row | DatasetError;

/**
 * Distinct answers with their share of all that were given: ten people answer a question of VQAv2, and what three of them
 * said weighs 0.3.
 *
 * @param answers - As given, in order; compared as they are.
 * @returns in order of first appearance; empty for an empty list.
 *
 * @example
 * weightAnswers(['yes', 'no', 'yes', 'yes']); // [{ answer: 'yes', weight: 0.75 }, { answer: 'no', weight: 0.25 }]
 *
 * Source: LAVIS `COCOVQADataset.__getitem__`.
 */
export function weightAnswers(answers: readonly string[]): WeightedAnswer[] {
  const counts = new Map<string, number>();
  for (const answer of answers) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  return [...counts].map(([answer, count]) => ({ answer, weight: count / answers.length }));
}
