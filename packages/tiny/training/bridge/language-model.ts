import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Checkpoint, type Described, type EngineInputs, readCheckpointJson, WeightReader } from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { loadTokenizer } from '@blip2/tokenizers';
import { type LanguageModelParams, optTexts, type StageTwoBatch, type T5TextLengths, t5Texts } from '@blip2/training';

/** A text with what stands before it. */
export interface PromptAndTarget {
  readonly prompt: string;
  readonly target: string;
}

/** A frozen language model. */
export interface FrozenLanguageModel {
  readonly kind: LanguageModelParams['kind'];
  readonly width: number;
  readonly params: Described<OptParams | T5Params>;
  /** With its parameters as tensors, for a loss. */
  withParams(params: OptParams | T5Params): LanguageModelParams;
  /** Texts as it reads them, rows of a fixed length. */
  batch(texts: readonly PromptAndTarget[], lengths: TextLengths): EngineInputs<StageTwoBatch['texts']>;
  readonly checkpoint: Checkpoint;
}

/** Longest prompts and targets in tokens, their ends included; a decoder-only model reads one after the other. */
export type TextLengths = T5TextLengths;

/** Of 100 captions one is longer, and loses its end; no question and no answer is. */
export const TEXT_LENGTHS: Readonly<Record<'caption' | 'halves' | 'question', TextLengths>> = {
  caption: { promptTokens: 4, targetTokens: 32 },
  /** A caption in two halves. */
  halves: { promptTokens: 24, targetTokens: 32 },
  question: { promptTokens: 19, targetTokens: 3 },
};

/** Opens a language model that was pre-trained here. @returns a model whose checkpoint is the caller's to dispose. */
export async function openLanguageModel(folder: string): Promise<FrozenLanguageModel> {
  const checkpoint = await openCheckpointFolder(folder);
  const json = (await readCheckpointJson(checkpoint, 'config.json')) as { readonly model_type: string };
  const tokenizer = await loadTokenizer(checkpoint);
  const described = describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), json);
  const params = described as Described<OptParams | T5Params>;
  const split = (texts: readonly PromptAndTarget[]) => ({
    prompts: texts.map(({ prompt }) => prompt),
    targets: texts.map(({ target }) => target),
  });
  if (json.model_type === 'opt') {
    const config = optConfigFromJson(json);
    return {
      kind: 'opt',
      width: config.embeddingWidth,
      params,
      withParams: (live) => ({ kind: 'opt', config, params: live as OptParams }),
      batch: (texts, { promptTokens, targetTokens }) => optTexts(tokenizer, config, split(texts), promptTokens + targetTokens),
      checkpoint,
    };
  }
  const config = t5ConfigFromJson(json);
  return {
    kind: 't5',
    width: config.width,
    params,
    withParams: (live) => ({ kind: 't5', config, params: live as T5Params }),
    batch: (texts, lengths) => t5Texts(tokenizer, config, split(texts), lengths),
    checkpoint,
  };
}
