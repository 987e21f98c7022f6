import type { Checkpoint, Tokenizer, WeightSource } from '@blip2/core';
import type { OptConfig, T5Config } from '@blip2/llm-adapters';
import type { QFormerConfig } from '@blip2/qformer';
import type { VisionTransformerConfig } from '@blip2/vision-encoder';

/** The language model of a recipe, frozen. */
export type RecipeLanguageModel = (
  | { readonly kind: 'opt'; readonly config: OptConfig }
  | { readonly kind: 't5'; readonly config: T5Config }
) & {
  readonly tokenizer: Tokenizer;
  /** Its configuration as the files write it. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Under the names of a BLIP-2 model, `language_model.…`. */
  readonly weights: WeightSource;
};

/** A model that a recipe trains: what it is made of, and what its files will say. Weights are described, not read. */
export interface RecipeModel {
  /** `config.json` of the trained model. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly vision: { readonly config: VisionTransformerConfig; readonly weights: WeightSource };
  /** The Q-Former with `ln_vision`, heads and projection; weights that the files lack are drawn. */
  readonly qformer: { readonly config: QFormerConfig; readonly weights: WeightSource };
  readonly language?: RecipeLanguageModel;
  /** Of the Q-Former, where it reads text. */
  readonly textTokenizer?: Tokenizer;
  /** Files of tokenizers and processors for the trained model. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** What training should know, such as heads that begin with drawn numbers. */
  readonly remarks: readonly string[];
  /** Open for as long as weights are read. */
  readonly checkpoints: readonly Checkpoint[];
}
