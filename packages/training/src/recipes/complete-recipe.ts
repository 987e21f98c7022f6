import { ConfigError } from '@blip2/core';
import { nearestName } from './nearest-name.ts';
import { type PresetName, RECIPE_PRESETS } from './presets.ts';
import type { AugmentationConfig, OptimizerConfig, RecipeConfig, ScheduleConfig, TrainedParts } from './recipe-config.ts';

/** Fields that always have a value in the end. */
type Defaulted =
  | 'features'
  | 'maxBrokenShare'
  | 'batchSize'
  | 'accumulate'
  | 'dropout'
  | 'seed'
  | 'layerDecay'
  | 'objectives'
  | 'answers'
  | 'engine'
  | 'saveEvery'
  | 'keep'
  | 'logEvery'
  | 'evaluateEvery'
  | 'outputDtype'
  | 'lavis';

/** A recipe in which every field that has a default has a value. */
export interface CompleteRecipe
  extends
    Omit<RecipeConfig, Defaulted | 'augmentation' | 'schedule' | 'optimizer' | 'train'>,
    Required<Pick<RecipeConfig, Defaulted>> {
  readonly augmentation: AugmentationConfig | false;
  readonly schedule: ScheduleConfig & Required<Pick<ScheduleConfig, 'kind' | 'peak' | 'minimum' | 'warmupStart'>>;
  readonly optimizer: OptimizerConfig & Required<Omit<OptimizerConfig, 'clipNorm'>>;
  readonly train: Required<TrainedParts>;
}

/**
 * Fills a recipe: its own fields, then those of its preset, then defaults. Objects are filled field by field.
 *
 * @param given - As `checkRecipe` gives it.
 * @param where - The file, for messages.
 * @throws {ConfigError} when a field is missing, unknown, or contradicts another.
 */
export function completeRecipe(given: Partial<RecipeConfig>, where: string): CompleteRecipe {
  const preset = presetOf(given.preset, where);
  const own = mergeRecipes(preset, given);
  const { recipe, data } = own;
  const fail = (problem: string): never => {
    throw new ConfigError(`${where}: ${problem}`);
  };
  if (recipe === undefined) return fail('recipe is missing, expected stage1, stage2, caption, vqa or retrieval. Add it.');
  if (data === undefined || data.length === 0)
    return fail("data is missing, expected where images and texts are. Add it, such as 'data: ./photos'.");
  if (preset.recipe !== undefined && preset.recipe !== recipe)
    return fail(`preset '${given.preset}' is for ${preset.recipe}, and this is ${recipe}. Take a preset of this recipe.`);
  const isStage = recipe === 'stage1' || recipe === 'stage2';
  const minimum = { stage1: 1e-5, stage2: 5e-5, caption: 0, vqa: 0, retrieval: 0 }[recipe];
  const train = {
    vision: false,
    imageNorm: true,
    queries: true,
    qformer: true,
    text: true,
    heads: true,
    projection: true,
    ...own.train,
  };
  const isAugmented = own.augmentation !== undefined && own.augmentation !== false;
  const features = own.features ?? (train.vision || isAugmented ? 'online' : 'cached');
  const complete: CompleteRecipe = {
    ...own,
    recipe,
    data,
    features,
    maxBrokenShare: own.maxBrokenShare ?? 0.01,
    augmentation: own.augmentation ?? (features === 'online' ? {} : false),
    batchSize: own.batchSize ?? 16,
    accumulate: own.accumulate ?? 1,
    dropout: own.dropout ?? 0.1,
    seed: own.seed ?? 0,
    layerDecay: own.layerDecay ?? 1,
    objectives: own.objectives ?? ['contrast', 'matching', 'captioning'],
    answers: own.answers ?? 'expanded',
    engine: own.engine ?? 'compiled',
    saveEvery: own.saveEvery ?? 500,
    keep: own.keep ?? 2,
    logEvery: own.logEvery ?? 10,
    evaluateEvery: own.evaluateEvery ?? (own.validation === undefined ? 0 : (own.saveEvery ?? 500)),
    outputDtype: own.outputDtype ?? 'keep',
    lavis: own.lavis ?? false,
    schedule: { kind: 'cosine', peak: isStage ? 1e-4 : 1e-5, minimum, warmupStart: 0, ...own.schedule },
    optimizer: { betas: isStage ? [0.9, 0.98] : [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.05, ...own.optimizer },
    train,
  };
  assertConsistent(complete, where);
  return complete;
}

/** @throws {ConfigError} for fields that cannot go together. */
function assertConsistent(recipe: CompleteRecipe, where: string): void {
  const { features, augmentation, train, layerDecay, validation, evaluateEvery, schedule } = recipe;
  const problems: readonly (readonly [boolean, string])[] = [
    [
      features === 'cached' && augmentation !== false,
      "augmentation needs features that are made anew: write 'features: online', or leave augmentation out.",
    ],
    [
      features === 'cached' && train.vision,
      "train.vision needs 'features: online': cached features are of the encoder as it was.",
    ],
    [
      layerDecay !== 1 && !train.vision,
      "layerDecay is for the image encoder, which does not train: add 'train: { vision: true }'.",
    ],
    [evaluateEvery > 0 && validation === undefined, 'evaluateEvery has nothing to evaluate: add validation.'],
    [recipe.steps === undefined && recipe.epochs === 0, 'epochs is 0, expected 1 or more.'],
    [
      schedule.minimum > schedule.peak,
      `schedule.minimum ${schedule.minimum} is above schedule.peak ${schedule.peak}. Exchange them.`,
    ],
    ...modelProblems(recipe),
    ...onlyFor(recipe),
  ];
  const first = problems.find(([isWrong]) => isWrong);
  if (first !== undefined) throw new ConfigError(`${where}: ${first[1]}`);
}

function modelProblems({ recipe, model, vision, languageModel }: CompleteRecipe): (readonly [boolean, string])[] {
  return [
    [
      model === undefined && vision === undefined,
      `${recipe} begins with no model: add 'model' with a folder or a Hub id${recipe === 'stage1' ? ", or 'vision' with an image encoder to begin from scratch" : ''}.`,
    ],
    [
      model !== undefined && vision !== undefined,
      "model and vision are both there: 'vision' is to begin from scratch. Leave one out.",
    ],
    [vision !== undefined && recipe !== 'stage1', `vision is for stage1; ${recipe} begins with a model. Write 'model' instead.`],
    [
      languageModel !== undefined && (recipe === 'stage1' || recipe === 'retrieval'),
      `${recipe} has no language model: leave languageModel out.`,
    ],
  ];
}

/** Fields that mean nothing to a recipe are mistakes. */
function onlyFor(recipe: CompleteRecipe): (readonly [boolean, string])[] {
  const { recipe: name, prompt, textBranch, readQuestion, bert, qformer, vision } = recipe;
  const say = (field: string, where: string): string => `${field} is for ${where}, and this is ${name}. Leave it out.`;
  return [
    [prompt !== undefined && name !== 'caption' && name !== 'vqa', say('prompt', 'caption and vqa')],
    [
      name === 'vqa' && prompt !== undefined && !prompt.includes('{}'),
      `prompt is '${prompt}', expected a text with {} where the question goes.`,
    ],
    [textBranch !== undefined && name !== 'vqa', say('textBranch', 'vqa')],
    [readQuestion !== undefined && name !== 'vqa', say('readQuestion', 'vqa')],
    [bert !== undefined && vision === undefined, 'bert is for a Q-Former from scratch: add vision, or leave it out.'],
    [
      qformer !== undefined && vision === undefined,
      'qformer has the sizes of a Q-Former from scratch: add vision, or leave it out.',
    ],
  ];
}

function presetOf(name: string | undefined, where: string): Partial<RecipeConfig> {
  if (name === undefined) return {};
  const names = Object.keys(RECIPE_PRESETS);
  if (Object.hasOwn(RECIPE_PRESETS, name)) return RECIPE_PRESETS[name as PresetName].values;
  const near = nearestName(name, names);
  throw new ConfigError(
    `${where}: preset is '${name}', expected one of ${names.join(', ')}.${near === undefined ? '' : ` Did you mean '${near}'?`}`,
  );
}

/**
 * One recipe over another: fields of the second count more, objects are merged field by field, lists are not. Steps or epochs of the
 * second replace both of the first.
 *
 * @example
 * const longer = mergeRecipes(await readRecipe('captions.yaml'), { steps: 10_000 });
 */
export function mergeRecipes(base: Partial<RecipeConfig>, over: Partial<RecipeConfig>): Partial<RecipeConfig> {
  const { steps: _steps, epochs: _epochs, ...rest } = base;
  const saysHowLong = over.steps !== undefined || over.epochs !== undefined;
  return merged(saysHowLong ? rest : base, over);
}

function merged(base: object, over: object): object {
  const entries = Object.entries(over).filter(([, value]) => value !== undefined);
  const changed = entries.map(([name, value]) => {
    const before = (base as Readonly<Record<string, unknown>>)[name];
    return [name, isPlain(before) && isPlain(value) ? merged(before, value) : value];
  });
  return { ...base, ...Object.fromEntries(changed) };
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
