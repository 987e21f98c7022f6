import type { LossAndMetrics } from '@blip2/compiler';
import { type Dropout, linear, tidy } from '@blip2/core';
import {
  type OptConfig,
  type OptParams,
  optTrainingLogits,
  type T5Config,
  type T5Params,
  type T5TrainingInputs,
  t5TrainingLogits,
} from '@blip2/llm-adapters';
import { nextTokenLoss, tokenLoss } from '@blip2/losses';
import {
  normalizeImage,
  type QFormerConfig,
  type QFormerParams,
  runJointPass,
  runQueryPass,
  type TextTensors,
} from '@blip2/qformer';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { dropoutOf, type DropoutOptions } from './dropout-pool.ts';

/**
 * The second stage: the Q-Former's output, projected, prompts a frozen language model, whose loss trains it. Captioning and question
 * answering are fine-tuned by the same loss; for questions the queries also read the question.
 *
 * Source: BLIP-2 (arXiv 2301.12597), sections 3.3 and 4.2; LAVIS `blip2_opt.py` and `blip2_t5.py`, `forward`.
 */

/** A language model as the second stage needs it. */
export type LanguageModelParams =
  | { readonly kind: 'opt'; readonly config: OptConfig; readonly params: OptParams }
  | { readonly kind: 't5'; readonly config: T5Config; readonly params: T5Params };

/** Texts that a decoder-only model goes through: prompt and target as one. */
export interface OptTexts {
  readonly ids: Tensor2D; //                     int32 [batch, tokens], the begin token first
  readonly labels: Tensor2D; //                  int32 [batch, tokens], not shifted; IGNORED_LABEL at prompts and padding
}

/** Prompts of an encoder-decoder model, and its targets. */
export interface T5Texts extends T5TrainingInputs {
  readonly labels: Tensor2D; //                  int32 [batch, tokens]; IGNORED_LABEL at padding
}

/** Images and texts; row `i` of all belongs together. */
export interface StageTwoBatch {
  readonly features: Tensor3D; //                [batch, imageTokens, imageFeatureWidth], of the image encoder, before ln_vision
  readonly texts: OptTexts | T5Texts;
  readonly question?: TextTensors; //            [batch, tokens], in the Q-Former's own tokens; queries read it
  readonly weights?: Tensor1D; //                [batch]: the share of people who gave an answer
  /** Uniform numbers in [0, 1], `[pool]`: see `stageTwoDropoutPool`. @default none: nothing is dropped */
  readonly dropout?: Tensor1D;
}

/**
 * Language modelling of the texts after the visual prompt.
 *
 * @param params - The Q-Former's, with `promptProjection`; with its text branch, where a question comes.
 * @returns `loss`, in nats: the mean over all tokens, or with `weights` the weighted sum of the rows' means over the batch.
 *
 * @example
 * const { loss } = stageTwoLoss(params, config, languageModel, batch);
 */
export function stageTwoLoss(
  params: QFormerParams,
  config: QFormerConfig,
  languageModel: LanguageModelParams,
  batch: StageTwoBatch,
  options: DropoutOptions = {},
): LossAndMetrics {
  const dropout = dropoutOf(batch, options); // of the frozen language model too, as in the reference
  const prompt = visualPrompt(params, config, batch, dropout); // [batch, queries, promptWidth]
  return { loss: languageLoss(languageModel, prompt, batch.texts, batch.weights, dropout) };
}

/** What the queries read, as input of the language model. @param dropout - In training. @returns `[batch, queries, promptWidth]` */
export function visualPrompt(
  params: QFormerParams,
  config: QFormerConfig,
  { features, question }: Pick<StageTwoBatch, 'features' | 'question'>,
  dropout?: Dropout,
): Tensor3D {
  return tidy(() => {
    const image = normalizeImage(params.inputs, config, features); // [batch, imageTokens, imageFeatureWidth]
    const rows =
      question === undefined
        ? runQueryPass(params, config, image, { dropout }).output // [batch, queries, width]
        : runJointPass(params, config, image, question, 'bidirectional', { dropout }).output; // [batch, queries + tokens, width]
    return linear(params.heads.promptProjection!, tf.slice(rows, [0, 0, 0], [-1, config.queries, -1])); // [batch, queries, promptWidth]
  });
}

/**
 * A language model's loss, also of text alone.
 *
 * @param prompt - `[batch, queries, promptWidth]`; `undefined` for the model's own pre-training.
 * @param weights - `[batch]`; see `nextTokenLoss`.
 * @param dropout - In training. @default none
 */
export function languageLoss(
  model: LanguageModelParams,
  prompt: Tensor3D | undefined,
  texts: OptTexts | T5Texts,
  weights?: Tensor1D,
  dropout?: Dropout,
): Scalar {
  return tidy(() => {
    const { labels } = texts;
    if (model.kind === 't5') {
      const expected = t5TrainingLogits(model.params, model.config, prompt, texts as T5Texts, dropout); // [batch, tokens, vocab]
      return tokenLoss(expected, labels, { weights });
    }
    const logits = optTrainingLogits(model.params, model.config, prompt, (texts as OptTexts).ids, dropout); // [batch, (1 +) tokens, vocab]
    if (prompt === undefined) return nextTokenLoss(logits, labels, { weights });
    // The last query predicts the first token: with it in front, labels are shifted as everywhere.
    const ahead = tf.slice(labels, [0, 0], [-1, 1]); // [batch, 1], predicted by nobody
    return nextTokenLoss(logits, tf.concat([ahead, labels], 1), { weights }); // labels [batch, 1 + tokens]
  });
}
