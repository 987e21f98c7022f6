import {
  ConfigError,
  type GenerateOptions,
  InputError,
  type LanguageModel,
  type RunOptions,
  type TokenBatch,
  withTensorScope,
} from '@blip2/core';
import { encodeBatch, processQuestion } from '@blip2/tokenizers';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { type Caption, samplingWithoutBeams, visualPromptOf } from './caption.ts';
import { asList, encodeImages, type ImageSources, readImages } from './image-input.ts';

/** The answer to one question. */
export interface Answer extends Caption {
  /** The question as it was asked. */
  readonly question: string;
}

export interface AnswerOptions extends GenerateOptions, RunOptions {
  /** Text around the question, with `{}` in its place. @default the template of the language model's family */
  readonly template?: string;
  /**
   * Lower-case the question and drop `. ! " ( ) * # : ; ~`, as training did and the published numbers assume.
   * @default true
   */
  readonly normalizeQuestion?: boolean;
}

/** What `answer` takes where nothing else is asked for. */
export type AnswerDefaults = Required<Pick<GenerateOptions, 'beams' | 'lengthPenalty' | 'maxNewTokens' | 'minNewTokens'>> & {
  readonly template: string;
};

/**
 * Prompts and decoding of zero-shot question answering by family.
 * Source: section 4.1 of the paper (5 beams, length penalty −1); LAVIS `predict_answers` (at most 10 tokens, and
 * for OPT at least one before the end token).
 */
export const ANSWER_DEFAULTS: Readonly<Record<LanguageModel['architecture'], AnswerDefaults>> = {
  'decoder-only': { template: 'Question: {} Answer:', beams: 5, lengthPenalty: -1, maxNewTokens: 10, minNewTokens: 1 },
  'encoder-decoder': { template: 'Question: {} Short answer:', beams: 5, lengthPenalty: -1, maxNewTokens: 10, minNewTokens: 0 },
};

/**
 * Answers questions about images.
 *
 * @param images - One image, or as many as there are questions; one that comes several times is looked at once.
 * @param questions - One question, or several; a single image is asked all of them.
 * @returns one answer a question, in the order given.
 * @throws {InputError} when a question is empty or the numbers of images and questions do not fit.
 *
 * @example
 * const [answer] = await answer(model, 'dog.jpg', 'what animal is this?');
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 4.1.
 */
export async function answer(
  model: Blip2,
  images: ImageSources,
  questions: string | readonly string[],
  options: AnswerOptions = {},
): Promise<Answer[]> {
  const { languageModel } = model;
  if (languageModel === undefined) {
    throw new ConfigError(
      `answer: ${model.name} has no language model, so it cannot answer questions; it can match, embed and search. ` +
        `Load a checkpoint with one, such as Salesforce/blip2-flan-t5-xl.`,
    );
  }
  const asked = asList(questions);
  const defaults = ANSWER_DEFAULTS[languageModel.architecture];
  const { template, normalizeQuestion = true, ...settings } = { ...defaults, ...options, ...samplingWithoutBeams(options) };
  const texts = asked.map((question) => questionText(question, normalizeQuestion));
  const prompts = texts.map((text) => questionPrompt(text, template));
  const sources = asList(images);
  if (sources.length !== 1 && sources.length !== asked.length) {
    throw new InputError(
      `answer: got ${sources.length} images and ${asked.length} questions. Pass one image, or one for each question.`,
    );
  }
  const distinct = [...new Set(sources)]; // an image with several questions is looked at once
  const imageOf = asked.map((_, index) => distinct.indexOf(sources[sources.length === 1 ? 0 : index]!)); // [questions]
  const pixels = await readImages(model, distinct, options);
  return withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, pixels, options)); // [images, tokens, width]
    const repeat = (x: Tensor3D): Tensor3D => (distinct.length === asked.length ? x : scope.own(tf.gather(x, imageOf)));
    const text = questionTokens(model, texts);
    const visualPrompt =
      text === undefined
        ? repeat(scope.own(await visualPromptOf(model, features, options))) // [questions, queries, promptWidth]
        : scope.own(await visualPromptOf(model, repeat(features), { ...options, text })); // [questions, queries, promptWidth]
    const sequences = await languageModel.generate(visualPrompt, prompts, settings);
    return sequences.map((row, index) => ({ question: asked[index]!, ...row[0]!, sequences: row }));
  });
}

/**
 * What is left of a question.
 * @throws {InputError} when nothing is.
 */
function questionText(question: string, normalize: boolean): string {
  const text = normalize ? processQuestion(question) : question.trim();
  if (text !== '') return text;
  throw new InputError(
    `answer: the question is empty${question === '' ? '' : ` ('${question}')`}. Ask something, such as 'what is in the picture?'.`,
  );
}

/** A question in its template. */
function questionPrompt(text: string, template: string): string {
  if (!template.includes('{}')) throw new InputError(`answer: the template '${template}' has no {} where the question goes.`);
  return template.replace('{}', () => text);
}

/**
 * The questions for the queries, where the Q-Former was fine-tuned to read them: it then looks at what a question is about.
 * Source: BLIP-2 (arXiv 2301.12597), section 4.3 and figure 7.
 */
function questionTokens({ qformer, textTokenizer }: Blip2, texts: readonly string[]): TokenBatch | undefined {
  if (!qformer.config.readsText || textTokenizer === undefined) return undefined;
  return encodeBatch(textTokenizer, texts, { maxLength: QUESTION_TOKENS });
}

/** Longest question that the queries read. Source: LAVIS, `max_txt_len` of the Q-Former's text. */
const QUESTION_TOKENS = 32;
