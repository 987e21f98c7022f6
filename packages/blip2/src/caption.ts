import {
  ConfigError,
  type GeneratedToken,
  type GenerateOptions,
  type Generation,
  InputError,
  type RunOptions,
  type TokenBatch,
  withTensorScope,
} from '@blip2/core';
import { generate } from '@blip2/generation';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { encodeImages, type ImageSource, type ImageSources, readImages } from './image-input.ts';

/** The text for one image. */
export interface Caption extends Generation {
  /** All returned sequences, best first; the first is this one. */
  readonly sequences: readonly Generation[];
}

export interface CaptionOptions extends GenerateOptions, RunOptions {
  /** Text that the caption continues, passed as it is. @default '' */
  readonly prompt?: string;
}

/** Decoding defaults of captioning. Source: section 4.2 of the paper (5 beams, length penalty 1); LAVIS `generate` (30 tokens). */
export const CAPTION_DEFAULTS: Required<Pick<GenerateOptions, 'beams' | 'lengthPenalty' | 'maxNewTokens' | 'minNewTokens'>> = {
  beams: 5,
  lengthPenalty: 1,
  maxNewTokens: 30,
  minNewTokens: 0,
};

/**
 * Describes images. A model without a language model writes with its Q-Former's own caption head, if it has one.
 *
 * @param images - One image or several of any sizes; they run as one batch.
 * @returns one caption an image, in the order given.
 * @throws {ConfigError} when the model cannot write text.
 *
 * @example
 * const [caption] = await caption(model, 'dog.jpg');
 * console.log(caption.text); // a woman sitting on the beach with a dog
 *
 * Source: BLIP-2 (arXiv 2301.12597), sections 3.3 and 4.2.
 */
export async function caption(model: Blip2, images: ImageSources, options: CaptionOptions = {}): Promise<Caption[]> {
  const { prompt = '', ...settings } = { ...CAPTION_DEFAULTS, ...options, ...samplingWithoutBeams(options) };
  const pixels = await readImages(model, images, options);
  return withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, pixels, options)); // [batch, tokens, width]
    if (model.languageModel === undefined) return toCaptions(await captionWithQFormer(model, features, prompt, settings));
    const visualPrompt = scope.own(await visualPromptOf(model, features, options)); // [batch, queries, promptWidth]
    const prompts = pixels.map(() => prompt);
    return toCaptions(await model.languageModel.generate(visualPrompt, prompts, settings));
  });
}

/**
 * Describes one image token by token, greedily or by sampling. Leaving the loop early frees everything.
 *
 * @example
 * for await (const { text } of streamCaption(model, 'dog.jpg')) process.stdout.write(text);
 */
export async function* streamCaption(
  model: Blip2,
  image: ImageSource,
  options: CaptionOptions = {},
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { prompt = '', ...settings } = { maxNewTokens: CAPTION_DEFAULTS.maxNewTokens, ...options };
  const { languageModel } = model;
  if (languageModel === undefined) throw cannotWrite(model);
  const pixels = await readImages(model, image, options);
  const features = await encodeImages(model, pixels, options); // [1, tokens, width]
  let visualPrompt: Tensor3D;
  try {
    visualPrompt = await visualPromptOf(model, features, options); // [1, queries, promptWidth]
  } finally {
    features.dispose();
  }
  try {
    yield* languageModel.stream(visualPrompt, prompt, settings);
  } finally {
    visualPrompt.dispose();
  }
}

/** Image features → queries, which may read a text as well → language model input, `[batch, queries, promptWidth]`. */
export async function visualPromptOf(
  model: Blip2,
  features: Tensor3D,
  options: RunOptions & { readonly text?: TokenBatch } = {},
): Promise<Tensor3D> {
  return withTensorScope(async (scope) => {
    const queries = scope.own(await model.qformer.encodeQueries(features, options)); // [batch, queries, width]
    return model.qformer.projectToPrompt(queries, options); // [batch, queries, promptWidth]
  });
}

/** Sampling draws one token at a time: with it, and without a word about beams, one beam is meant. */
export function samplingWithoutBeams(options: GenerateOptions): Pick<GenerateOptions, 'beams'> {
  return options.sampling !== undefined && options.beams === undefined ? { beams: 1 } : {};
}

async function captionWithQFormer(
  model: Blip2,
  features: Tensor3D,
  prompt: string,
  settings: GenerateOptions & RunOptions,
): Promise<Generation[][]> {
  const { qformer, textTokenizer } = model;
  if (qformer.startCaptioning === undefined || textTokenizer === undefined) throw cannotWrite(model);
  if (prompt !== '') {
    throw new InputError(
      `caption: the Q-Former's own caption head takes no prompt, but '${prompt}' was given. Leave the prompt out.`,
    );
  }
  const session = await qformer.startCaptioning(features, settings);
  try {
    const sequences = await generate(session, settings);
    return sequences.map((row) =>
      row.map(({ tokenIds, score }) => ({
        tokenIds,
        text: textTokenizer.decode(tokenIds).trim(),
        ...(score === undefined ? {} : { score }),
      })),
    );
  } finally {
    session.dispose();
  }
}

function cannotWrite(model: Blip2): ConfigError {
  return new ConfigError(
    `${model.name} has no language model and no caption head, so it cannot write text; it can match, embed and search. ` +
      `Load a captioning checkpoint, such as Salesforce/blip2-opt-2.7b.`,
  );
}

function toCaptions(sequences: readonly (readonly Generation[])[]): Caption[] {
  return sequences.map((row) => ({ ...row[0]!, sequences: row }));
}
