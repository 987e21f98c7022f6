import { type Dropout, dropoutFrom, dropoutPoolSize, type HostTensor, type Random } from '@blip2/core';
import type { QFormerConfig } from '@blip2/qformer';
import type { Tensor1D } from '@tensorflow/tfjs-core';
import type { LanguageModelParams } from './stage-two.ts';

/**
 * How recipes drop: batches bring a pool of uniform numbers, which the batch's own generator draws, so that a resumed run drops the
 * same as an uninterrupted one.
 */

/** How much a recipe drops. */
export interface DropoutOptions {
  /**
   * In the Q-Former and in the language model, frozen or not, as in LAVIS, which puts the whole model into training mode. It has an
   * effect only where the batch brings numbers. @default 0.1
   */
  readonly dropoutRate?: number;
}

/** The dropout of one batch; none, where it brings no numbers. */
export function dropoutOf(
  { dropout: pool }: { readonly dropout?: Tensor1D },
  { dropoutRate = 0.1 }: DropoutOptions,
): Dropout | undefined {
  return pool === undefined || dropoutRate === 0 ? undefined : dropoutFrom(pool, dropoutRate);
}

/**
 * Numbers for the `dropout` field of a batch.
 *
 * @param random - The batch's own.
 * @param size - Of {@link stageOneDropoutPool} or {@link stageTwoDropoutPool}.
 * @returns `[size]`, the caller's.
 */
export function drawDropoutPool(random: Random, size: number): HostTensor {
  const data = new Float32Array(size);
  for (let index = 0; index < size; index++) data[index] = random();
  return { shape: [size], data };
}

/** Sizes of a batch of the first stage. */
export interface StageOneSizes {
  readonly batch: number;
  readonly imageTokens: number;
  readonly textTokens: number;
}

/**
 * How many numbers a batch of `stageOneLoss` needs for dropout. Matching has the largest tensors: three pairs a row.
 *
 * @example
 * const size = stageOneDropoutPool(config, { batch: 64, imageTokens: 257, textTokens: 32 });
 * const batches = indexedBatches({ …, make: (rows, random) => ({ …, dropout: drawDropoutPool(random, size) }) });
 */
export function stageOneDropoutPool(config: QFormerConfig, { batch, imageTokens, textTokens }: StageOneSizes): number {
  return dropoutPoolSize(3 * batch * largestQFormerSite(config, imageTokens, textTokens));
}

/** Sizes of a batch of the second stage. */
export interface StageTwoSizes {
  readonly batch: number;
  readonly imageTokens: number;
  /** Of questions that the queries read. @default 0 */
  readonly questionTokens?: number;
  /** What the model reads besides queries: all of OPT's text, T5's prompts. */
  readonly textTokens: number;
  /** T5's targets. @default 0 */
  readonly targetTokens?: number;
}

/** How many numbers a batch of `stageTwoLoss` needs for dropout. */
export function stageTwoDropoutPool(
  config: QFormerConfig,
  languageModel: Pick<LanguageModelParams, 'kind' | 'config'>,
  { batch, imageTokens, questionTokens = 0, textTokens, targetTokens = 0 }: StageTwoSizes,
): number {
  const ofQFormer = largestQFormerSite(config, imageTokens, questionTokens);
  const ofLanguage = largestLanguageSite(languageModel as LanguageModelParams, config.queries + textTokens, targetTokens);
  return dropoutPoolSize(batch * Math.max(ofQFormer, ofLanguage));
}

/** Entries a row of the largest tensor that a Q-Former drops from. */
function largestQFormerSite({ queries, width, heads }: QFormerConfig, imageTokens: number, textTokens: number): number {
  const rows = queries + textTokens;
  return Math.max(rows * width, heads * rows * rows, heads * queries * imageTokens);
}

/** The same of a language model. @param positions - Queries and text. */
function largestLanguageSite(model: LanguageModelParams, positions: number, targetTokens: number): number {
  if (model.kind === 'opt') return positions * model.config.width;
  const { width, heads, feedForwardWidth } = model.config;
  const longest = Math.max(positions, targetTokens);
  return Math.max(longest * Math.max(width, feedForwardWidth), heads * longest * longest);
}
