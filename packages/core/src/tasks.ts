import type { RunOptions } from './abort-and-progress.ts';
import type { GenerateOptions } from './generation.ts';

/**
 * What a model can be asked for by programs that do not care which model it is: benchmarks, servers, tools. `Image` is whatever the
 * caller has and the model can read.
 */

/** How captions are asked for. */
export interface CaptionerOptions extends GenerateOptions, RunOptions {
  /** Text that the caption continues. @default '' */
  readonly prompt?: string;
}

/** Describes images. */
export interface Captioner<Image = unknown> {
  /** @returns one caption an image, in the order given; without the prompt. */
  caption(images: readonly Image[], options?: CaptionerOptions): Promise<readonly string[]>;
}

/** How questions are asked. */
export interface AnswererOptions extends GenerateOptions, RunOptions {
  /** Text around the question, with `{}` in its place. @default the model's own */
  readonly template?: string;
}

/** Answers questions about images. */
export interface Answerer<Image = unknown> {
  /**
   * @param images - One for each question; an image with several questions may come several times in a row.
   * @returns one answer a question, in the order given.
   */
  answer(images: readonly Image[], questions: readonly string[], options?: AnswererOptions): Promise<readonly string[]>;
}

/** Says how well images and texts fit each other: quickly for many, and closely for some. */
export interface Matcher<Image = unknown> {
  /**
   * The quick look, contrastive in BLIP-2.
   *
   * @param texts - Often the same list, call after call: what is computed of it may be kept.
   * @returns for each image a row `[texts]`; larger fits better.
   */
  similarities(images: readonly Image[], texts: readonly string[], options?: RunOptions): Promise<readonly Float32Array[]>;
  /**
   * The closer look, image-text matching in BLIP-2: the logit of "match".
   *
   * @returns `[texts]`; larger fits better. Two-stage retrieval adds it to the similarity.
   */
  match(image: Image, texts: readonly string[], options?: RunOptions): Promise<Float32Array>;
}
