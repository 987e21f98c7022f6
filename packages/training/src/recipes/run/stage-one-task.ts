import { ConfigError } from '@blip2/core';
import { qformerTexts } from '../../batches/text-batches.ts';
import { stageOneDropoutPool } from '../dropout-pool.ts';
import { type StageOneBatch, stageOneLoss } from '../stage-one.ts';
import { type CaptionRow, captionRows } from './rows.ts';
import { featuresOf, recipeParameters, type RecipeTask, type TaskSettings, textTokenizerOf, uniform } from './task.ts';

/** Longest caption. Source: LAVIS, `max_txt_len`. */
const TEXT_TOKENS = 32;

/**
 * The first stage, and retrieval, which is the same with a model to begin with: contrast, matching against hard negatives, and
 * captioning, all by the Q-Former alone.
 *
 * @throws {ConfigError} when batches are too small for negatives.
 */
export function stageOneTask(settings: TaskSettings): RecipeTask<CaptionRow> {
  const { recipe, model, batch } = settings;
  const { config } = model.qformer;
  if (batch < 2) {
    throw new ConfigError(
      `${recipe.recipe}: batchSize is ${batch}, expected 2 or more: wrong partners come from the same batch.`,
    );
  }
  const textTokens = Math.min(recipe.maxTextTokens ?? TEXT_TOKENS, config.maxPositions);
  const tokenizer = textTokenizerOf(model);
  const has = (objective: (typeof recipe.objectives)[number]): boolean => recipe.objectives.includes(objective);
  const options = {
    contrast: has('contrast'),
    matching: has('matching'),
    captioning: has('captioning'),
    dropoutRate: recipe.dropout,
  };
  return {
    needs: 'captions',
    rowsOf: captionRows,
    countRows: ({ captions = [] }) => (captions.length > 0 ? 1 : 0),
    images: 2,
    texts: (rows, numbers, random) => ({
      text: qformerTexts(
        tokenizer,
        rows.map(({ caption }) => caption),
        textTokens,
      ),
      imageIds: { shape: [rows.length], data: numbers },
      negatives: { images: uniform(rows.length, random), texts: uniform(rows.length, random) },
    }),
    dropoutPool: stageOneDropoutPool(config, { batch, imageTokens: settings.imageTokens, textTokens }),
    parameters: recipeParameters(settings),
    loss: (params, given) => {
      const features = featuresOf(params, settings, given);
      return stageOneLoss(params.bridge, config, { ...given, features } as unknown as StageOneBatch, options);
    },
  };
}
