import type { LossAndMetrics } from '@blip2/compiler';
import type { Described, EngineInputs, HostTensor, Random, Tokenizer } from '@blip2/core';
import { WeightReader } from '@blip2/core';
import { describeLanguageModel, type OptParams, type T5Params } from '@blip2/llm-adapters';
import { describeQFormer, type QFormerParams } from '@blip2/qformer';
import {
  describeVisionTransformer,
  isVisionWeight,
  visionTransformer,
  type VisionTransformerParams,
} from '@blip2/vision-encoder';
import type { DatasetRecord } from '@blip2/datasets';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { type SeparatedParameters, separateParameters } from '../../parameters/separate-parameters.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import { imageTokens } from './images.ts';
import type { RecipeModel } from './model-parts.ts';
import type { RowsOf } from './rows.ts';
import { isTrainedBy } from './trained-parts.ts';

/** What a recipe trains and how: all that differs from one to the other. */
export interface RecipeTask<Row> {
  /** What the model reads beside the image, for messages. */
  readonly needs: 'captions' | 'questions with answers';
  readonly rowsOf: RowsOf<Row>;
  /** Rows that a record has in an epoch. */
  countRows(record: DatasetRecord): number;
  /** Images that a batch must have. */
  readonly images: number;
  /**
   * The texts of a batch.
   * @param numbers - The same for rows of one image.
   * @param random - The batch's own.
   */
  texts(rows: readonly Row[], numbers: Int32Array, random: Random): Readonly<Record<string, unknown>>;
  /** Numbers of a batch's dropout. */
  readonly dropoutPool: number;
  readonly parameters: SeparatedParameters<RecipeTree>;
  loss(params: RecipeTree, batch: RecipeBatch): LossAndMetrics;
}

/** The model as a tree of tensors; paths of trained ones name checkpoints' contents. */
export interface RecipeTree {
  /** Only where the encoder trains. */
  readonly vision?: VisionTransformerParams;
  readonly bridge: QFormerParams;
  readonly language?: OptParams | T5Params;
}

/** A batch: images as pixels or features, and what the task adds. */
export type RecipeBatch = ({ readonly pixels: Tensor4D } | { readonly features: Tensor3D }) & Readonly<Record<string, unknown>>;

/** The same in JavaScript's memory. */
export type HostBatch = EngineInputs<RecipeBatch>;

/** What tasks are made of. */
export interface TaskSettings {
  readonly recipe: CompleteRecipe;
  readonly model: RecipeModel;
  /** Rows of one batch. */
  readonly batch: number;
  readonly imageTokens: number;
}

export function taskSettings(recipe: CompleteRecipe, model: RecipeModel): TaskSettings {
  return { recipe, model, batch: recipe.batchSize, imageTokens: imageTokens(model.vision.config) };
}

/**
 * The model's parameters, apart: those that the recipe trains, and the rest.
 * @throws {WeightsError} when weights are missing or have other shapes.
 */
export function recipeParameters({ recipe, model }: TaskSettings): SeparatedParameters<RecipeTree> {
  const { vision, qformer, language } = model;
  const bridge = describeQFormer(new WeightReader(qformer.weights, 'Q-Former'), qformer.config);
  const tree: { -readonly [Part in keyof RecipeTree]: Described<NonNullable<RecipeTree[Part]>> } = { bridge };
  if (recipe.train.vision) {
    const reader = new WeightReader(vision.weights, 'vision encoder');
    tree.vision = describeVisionTransformer(reader, vision.config);
    reader.finish(isVisionWeight);
  }
  if (language !== undefined) {
    const reader = new WeightReader(language.weights, 'language model');
    tree.language = describeLanguageModel(reader, language.json) as Described<OptParams | T5Params>;
    reader.finish();
  }
  return separateParameters<RecipeTree>(tree as Described<RecipeTree>, isTrainedBy(recipe));
}

/** Image features of a batch, from pixels where the encoder trains. */
export function featuresOf(params: RecipeTree, { model }: TaskSettings, batch: RecipeBatch): Tensor3D {
  return 'pixels' in batch
    ? visionTransformer(params.vision!, model.vision.config, batch.pixels as Tensor4D) // [batch, tokens, width]
    : (batch.features as Tensor3D);
}

/** Uniform numbers, one a row. */
export function uniform(count: number, random: Random): HostTensor {
  return { shape: [count], data: Float32Array.from({ length: count }, random) };
}

/** The Q-Former's own tokenizer. */
export function textTokenizerOf({ textTokenizer }: RecipeModel): Tokenizer {
  return textTokenizer!;
}
