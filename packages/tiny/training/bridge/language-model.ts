import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Checkpoint, type Described, type EngineInputs, readCheckpointJson, WeightReader } from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { loadTokenizer } from '@blip2/tokenizers';
import { type LanguageModelParams, optTexts, type StageTwoBatch, t5Texts } from '@blip2/training';

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
  /** Texts as it reads them. */
  batch(texts: readonly PromptAndTarget[]): EngineInputs<StageTwoBatch['texts']>;
  readonly checkpoint: Checkpoint;
}

const TEXT_TOKENS = 36;
const PROMPT_TOKENS = 24;

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
      batch: (texts) => optTexts(tokenizer, config, split(texts), TEXT_TOKENS),
      checkpoint,
    };
  }
  const config = t5ConfigFromJson(json);
  const lengths = { promptTokens: PROMPT_TOKENS, targetTokens: TEXT_TOKENS };
  return {
    kind: 't5',
    width: config.width,
    params,
    withParams: (live) => ({ kind: 't5', config, params: live as T5Params }),
    batch: (texts) => t5Texts(tokenizer, config, split(texts), lengths),
    checkpoint,
  };
}
