import type { Answerer, Captioner } from '@blip2/core';
import type { Id } from '../ids.ts';
import { TEXT_CODEC } from './journal.ts';
import { predictItems, type PredictOptions } from './predict-items.ts';
import type { AnswerSettings, CaptionSettings } from './settings.ts';

/** An image of a benchmark. `Image` is what the model reads. */
export interface ImageItem<Image> {
  readonly id: Id;
  readonly image: Image;
}

/** A question of a benchmark; questions about one image stand together, so that it need not be read again. */
export interface QuestionItem<Image> extends ImageItem<Image> {
  readonly question: string;
}

/**
 * Captions of a benchmark's images, by the protocol's settings.
 *
 * @param settings - `CAPTION_SETTINGS['zero-shot']`, or others.
 * @returns by image, in the order of the items: what `evaluateCaptions` takes as candidates.
 * @throws {InputError} when two images have one id. @throws what the captioner throws; finished batches are in the journal.
 *
 * @example
 * const captioner = { caption: async (paths) => paths.map((path) => myModel.describe(path)) };
 * const candidates = await predictCaptions([{ id: 42, image: 'val2014/42.jpg' }], captioner, CAPTION_SETTINGS['fine-tuned']);
 */
export async function predictCaptions<Image>(
  items: readonly ImageItem<Image>[],
  captioner: Captioner<Image>,
  settings: CaptionSettings,
  options: PredictOptions = {},
): Promise<Map<Id, string>> {
  const { imageSize: _, ...decoding } = settings;
  const { abortSignal } = options;
  const predict = (some: readonly ImageItem<Image>[]): Promise<readonly string[]> =>
    captioner.caption(
      some.map(({ image }) => image),
      { ...decoding, abortSignal },
    );
  return predictItems(items, { part: 'captions', codec: TEXT_CODEC, predict }, options);
}

/**
 * Answers to a benchmark's questions, by the protocol's settings.
 *
 * @returns by question, in the order of the items.
 * @throws as {@link predictCaptions}.
 */
export async function predictAnswers<Image>(
  items: readonly QuestionItem<Image>[],
  answerer: Answerer<Image>,
  settings: AnswerSettings,
  options: PredictOptions = {},
): Promise<Map<Id, string>> {
  const { imageSize: _, ...asked } = settings;
  const { abortSignal } = options;
  const predict = (some: readonly QuestionItem<Image>[]): Promise<readonly string[]> =>
    answerer.answer(
      some.map(({ image }) => image),
      some.map(({ question }) => question),
      { ...asked, abortSignal },
    );
  return predictItems(items, { part: 'answers', codec: TEXT_CODEC, predict }, options);
}
