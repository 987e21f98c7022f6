import {
  type ChoiceOption,
  type FlagOption,
  type IntegerOption,
  type ListOption,
  type NumberOption,
  type TextOption,
  UsageError,
  type Values,
} from '../command-line.ts';
import { defined } from '../defined.ts';

type Texts =
  | 'preset'
  | 'format'
  | 'images'
  | 'annotations'
  | 'split'
  | 'languageModel'
  | 'vision'
  | 'bert'
  | 'tokenizer'
  | 'textBranch'
  | 'prompt';
type Integers =
  | 'steps'
  | 'epochs'
  | 'batchSize'
  | 'accumulate'
  | 'warmupSteps'
  | 'seed'
  | 'imageSize'
  | 'maxTextTokens'
  | 'saveEvery'
  | 'logEvery'
  | 'evaluateEvery';
type Numbers = 'maxBrokenShare' | 'learningRate' | 'weightDecay' | 'clipNorm' | 'dropout' | 'layerDecay';

/** The options by the types of their values. */
export type RecipeOptionTable = { readonly [Name in Texts]: TextOption } & { readonly [Name in Integers]: IntegerOption } & {
  readonly [Name in Numbers]: NumberOption;
} & { readonly [Name in 'data' | 'validation']: ListOption } & { readonly [Name in 'schedule' | 'features']: ChoiceOption } & {
  readonly [Name in 'trainVision' | 'lavis']: FlagOption;
};

/** Options of `blip2 train` that stand for fields of a recipe. */
export const RECIPE_OPTIONS: RecipeOptionTable = {
  preset: { type: 'text', hint: 'NAME', description: "published hyper-parameters, such as 'paper/caption-opt-2.7b'" },
  data: { type: 'texts', hint: 'PATH…', description: 'folder of images with captions.jsonl or metadata.jsonl, or the file' },
  format: { type: 'text', hint: 'FORMAT', description: 'of the data: folder, coco, vqav2, gqa, webdataset …; default: folder' },
  images: { type: 'text', hint: 'FOLDER', description: 'where the images are, for formats that do not say' },
  annotations: { type: 'text', hint: 'FILE', description: 'answers of VQAv2' },
  split: { type: 'text', hint: 'NAME', description: 'takes the rows of one split alone' },
  validation: { type: 'texts', hint: 'PATH…', description: 'held-out data, of the same format' },
  languageModel: { type: 'text', hint: 'FOLDER', description: 'OPT or Flan-T5, where --model is a stage-1 model' },
  vision: { type: 'text', hint: 'FOLDER', description: 'stage1 from scratch: the image encoder' },
  bert: { type: 'text', hint: 'FOLDER', description: 'stage1 from scratch: BERT' },
  tokenizer: { type: 'text', hint: 'FOLDER', description: "the Q-Former's tokenizer, where --model or --bert has none" },
  textBranch: { type: 'text', hint: 'FOLDER', description: 'vqa: a stage-1 model whose text branch reads the questions' },
  steps: { type: 'integer', hint: 'N', min: 1, description: 'default: those of the epochs' },
  epochs: { type: 'integer', hint: 'N', min: 1, description: 'passes over the data; default: 5' },
  batchSize: { type: 'integer', hint: 'N', min: 1, description: 'default: 16' },
  accumulate: { type: 'integer', hint: 'N', min: 1, description: 'batches of a step; default: 1' },
  learningRate: { type: 'number', hint: 'RATE', description: 'the largest; default: 1e-4 for the stages, 1e-5 for fine-tuning' },
  warmupSteps: { type: 'integer', hint: 'N', description: 'steps in which the rate rises; default: a tenth, at most 1000' },
  schedule: { type: 'choice', choices: ['cosine', 'lavis', 'constant'], description: 'of the rate; default: cosine' },
  weightDecay: { type: 'number', hint: 'SHARE', description: 'default: 0.05' },
  clipNorm: { type: 'number', hint: 'LENGTH', description: 'shortens longer gradients; default: none' },
  dropout: { type: 'number', hint: 'SHARE', description: 'default: 0.1' },
  seed: { type: 'integer', hint: 'N', description: 'decides order, crops and dropout; default: 0' },
  imageSize: { type: 'integer', hint: 'PIXELS', min: 1, description: "default: the model's" },
  prompt: {
    type: 'text',
    hint: 'TEXT',
    description: "of captions, or with {} of questions; default: 'a photo of', that of blip2 answer",
  },
  maxTextTokens: { type: 'integer', hint: 'N', min: 1, description: 'longest text; default: 32' },
  features: {
    type: 'choice',
    choices: ['cached', 'online'],
    description: 'encode images once, or augmented each time; default: cached',
  },
  maxBrokenShare: {
    type: 'number',
    hint: 'SHARE',
    description: 'of images and records that may be broken; they are left out; default: 0.01',
  },
  trainVision: { type: 'flag', description: 'train the image encoder too' },
  layerDecay: { type: 'number', hint: 'FACTOR', description: "of the rate from one of the encoder's blocks to that below" },
  saveEvery: { type: 'integer', hint: 'N', min: 1, description: 'steps between checkpoints; default: 500' },
  logEvery: { type: 'integer', hint: 'N', min: 1, description: 'steps between records; default: 10' },
  evaluateEvery: { type: 'integer', hint: 'N', description: 'steps between losses of --validation; default: as checkpoints' },
  lavis: { type: 'flag', description: 'also write the model with the original names' },
};

export type RecipeValues = Values<RecipeOptionTable>;

/** The fields that somebody wrote on the command line. @throws {UsageError} for options that need others. */
export function recipeFieldsOf(values: RecipeValues): Record<string, unknown> {
  const { data, validation, learningRate, warmupSteps, schedule, weightDecay, clipNorm, trainVision, lavis } = values;
  const same = [
    'preset',
    'languageModel',
    'vision',
    'bert',
    'tokenizer',
    'textBranch',
    'steps',
    'epochs',
    'batchSize',
    'accumulate',
  ] as const;
  const more = [
    'dropout',
    'seed',
    'imageSize',
    'prompt',
    'maxTextTokens',
    'features',
    'maxBrokenShare',
    'layerDecay',
    'saveEvery',
    'logEvery',
    'evaluateEvery',
  ] as const;
  const { format, images, annotations, split } = values;
  if (data.length === 0 && (format ?? images ?? annotations ?? split) !== undefined) {
    throw new UsageError('--format, --images, --annotations and --split say how --data is read. Pass --data as well.');
  }
  const sourceOf = (path: string): unknown => ({
    format: format ?? 'folder',
    path,
    ...(images !== undefined && { images }),
    ...(annotations !== undefined && { annotations }),
    ...(split !== undefined && { split }),
  });
  const rates = defined({ kind: schedule, peak: learningRate, warmupSteps });
  const optimizer = defined({ weightDecay, clipNorm });
  return {
    ...defined(Object.fromEntries([...same, ...more].map((name) => [name, values[name]]))),
    ...(data.length > 0 && { data: data.map(sourceOf) }),
    ...(validation.length > 0 && { validation: validation.map(sourceOf) }),
    ...(Object.keys(rates).length > 0 && { schedule: rates }),
    ...(Object.keys(optimizer).length > 0 && { optimizer }),
    ...(trainVision && { train: { vision: true } }),
    ...(lavis && { lavis }),
  };
}
