import type { RecipeConfig } from './recipe-config.ts';

/** Values of a published training run. */
export interface RecipePreset {
  /** Where the values are published. */
  readonly source: string;
  /** What the run was, in a line. */
  readonly description: string;
  readonly values: Partial<Omit<RecipeConfig, 'preset' | 'data' | 'validation'>>;
}

/** The name of a preset. */
export type PresetName =
  | `paper/stage1-vit-${'g' | 'l'}`
  | `paper/stage2-${'opt' | 'flan-t5'}`
  | `paper/${'caption' | 'vqa'}-${'flan-t5-xl' | 'opt-2.7b' | 'opt-6.7b'}`
  | `paper/retrieval-vit-${'g' | 'l'}`
  | `lavis/${'stage1' | 'stage2' | 'caption' | 'retrieval'}`;

/** Paper, appendix, "Pre-training": AdamW, β₂ 0.98, weight decay 0.05, crops and mirrors of 224 pixels. */
const PRE_TRAINING = {
  features: 'online', // the frozen encoder sees another crop each time
  augmentation: { scale: [0.5, 1], flipProbability: 0.5 }, // section 3.4: random resized crop, horizontal flip
  imageSize: 224, // section 3.4
  optimizer: { betas: [0.9, 0.98], epsilon: 1e-8, weightDecay: 0.05 }, // section 3.4
  dropout: 0.1, // BERT's and the language models' own
} as const;

const STAGE_1 = {
  recipe: 'stage1',
  ...PRE_TRAINING,
  steps: 250_000, // section 3.4
  schedule: { kind: 'cosine', peak: 1e-4, minimum: 1e-5, warmupSteps: 2000 }, // section 3.4; the minimum by an author in LAVIS's issues
} as const;

const STAGE_2 = {
  recipe: 'stage2',
  ...PRE_TRAINING,
  steps: 80_000, // section 3.4
  schedule: { kind: 'cosine', peak: 1e-4, minimum: 5e-5, warmupSteps: 2000 }, // section 3.4
} as const;

/** Appendix, tables of fine-tuning: five epochs, 1000 steps of warm-up, rate 1e-5, weight decay 0.05, no drop path, the encoder trained. */
const FINE_TUNING = {
  features: 'online',
  augmentation: { scale: [0.5, 1], flipProbability: 0.5 },
  train: { vision: true },
  epochs: 5,
  schedule: { kind: 'cosine', peak: 1e-5, minimum: 0, warmupSteps: 1000 },
  optimizer: { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.05 },
  dropout: 0.1,
} as const;

const CAPTION = { recipe: 'caption', ...FINE_TUNING, batchSize: 256, imageSize: 364, prompt: 'a photo of' } as const;
const VQA = {
  recipe: 'vqa',
  ...FINE_TUNING,
  batchSize: 128,
  imageSize: 490,
  prompt: 'Question: {} Answer:', // the same for both families, unlike zero-shot prompts
  answers: 'expanded',
  readQuestion: true, // figure 7
} as const;
const RETRIEVAL = { recipe: 'retrieval', ...FINE_TUNING, batchSize: 224, imageSize: 364 } as const;

/** LAVIS's example files: schedules by epoch, β₂ of PyTorch, which they leave out. */
const LAVIS = {
  features: 'online',
  augmentation: { scale: [0.5, 1], flipProbability: 0.5 }, // blip2_image_train
  imageSize: 224,
  epochs: 10,
  optimizer: { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.05 },
  dropout: 0.1,
} as const;

const PAPER = 'BLIP-2 (arXiv 2301.12597)';

const preset = (source: string, description: string, values: RecipePreset['values']): RecipePreset => ({
  source,
  description,
  values,
});

/**
 * Hyper-parameters of the paper, and those of LAVIS's example files, which differ. Batches are those of all devices together: with less
 * memory, take a smaller `batchSize` with `accumulate` (for the first stage the negatives are those of one batch).
 *
 * @example
 * const { schedule } = RECIPE_PRESETS['paper/stage1-vit-g'].values;
 */
export const RECIPE_PRESETS: Readonly<Record<PresetName, RecipePreset>> = {
  'paper/stage1-vit-g': preset(`${PAPER}, section 3.4`, 'first stage, ViT-g', { ...STAGE_1, batchSize: 1680 }),
  'paper/stage1-vit-l': preset(`${PAPER}, section 3.4`, 'first stage, ViT-L', { ...STAGE_1, batchSize: 2320 }),
  'paper/stage2-opt': preset(`${PAPER}, section 3.4`, 'second stage, OPT', { ...STAGE_2, batchSize: 1920 }),
  'paper/stage2-flan-t5': preset(`${PAPER}, section 3.4`, 'second stage, Flan-T5', { ...STAGE_2, batchSize: 1520 }),
  'paper/caption-flan-t5-xl': preset(`${PAPER}, appendix, captioning`, 'COCO captions, Flan-T5-XL', {
    ...CAPTION,
    layerDecay: 1,
  }),
  'paper/caption-opt-2.7b': preset(`${PAPER}, appendix, captioning`, 'COCO captions, OPT-2.7B', { ...CAPTION, layerDecay: 1 }),
  'paper/caption-opt-6.7b': preset(`${PAPER}, appendix, captioning`, 'COCO captions, OPT-6.7B', { ...CAPTION, layerDecay: 0.95 }),
  'paper/vqa-flan-t5-xl': preset(`${PAPER}, appendix, visual question answering`, 'VQAv2, Flan-T5-XL', {
    ...VQA,
    layerDecay: 0.95,
  }),
  'paper/vqa-opt-2.7b': preset(`${PAPER}, appendix, visual question answering`, 'VQAv2, OPT-2.7B', { ...VQA, layerDecay: 0.95 }),
  'paper/vqa-opt-6.7b': preset(`${PAPER}, appendix, visual question answering`, 'VQAv2, OPT-6.7B', { ...VQA, layerDecay: 0.9 }),
  'paper/retrieval-vit-l': preset(`${PAPER}, appendix, retrieval`, 'COCO retrieval, ViT-L', {
    ...RETRIEVAL,
    schedule: { ...FINE_TUNING.schedule, peak: 5e-6 },
    optimizer: { ...FINE_TUNING.optimizer, betas: [0.9, 0.98] },
    layerDecay: 1,
  }),
  'paper/retrieval-vit-g': preset(`${PAPER}, appendix, retrieval`, 'COCO retrieval, ViT-g', { ...RETRIEVAL, layerDecay: 0.95 }),
  'lavis/stage1': preset('LAVIS pretrain_stage1.yaml', 'first stage, 16 GPUs with 100 rows each', {
    ...LAVIS,
    recipe: 'stage1',
    batchSize: 1600,
    schedule: { kind: 'lavis', peak: 1e-4, minimum: 1e-5, warmupStart: 1e-6, warmupSteps: 5000 },
  }),
  'lavis/stage2': preset('LAVIS pretrain_stage2.yaml', 'second stage, 16 GPUs with 64 rows each', {
    ...LAVIS,
    recipe: 'stage2',
    batchSize: 1024,
    schedule: { kind: 'lavis', peak: 1e-4, minimum: 1e-5, warmupStart: 1e-6, warmupSteps: 2000 },
  }),
  'lavis/caption': preset('LAVIS caption_coco_ft.yaml', 'COCO captions, 16 GPUs with 16 rows each', {
    ...CAPTION,
    schedule: { kind: 'lavis', peak: 1e-5, minimum: 0, warmupStart: 1e-8, warmupSteps: 1000 },
  }),
  'lavis/retrieval': preset('LAVIS ret_coco_ft.yaml', 'COCO retrieval, 16 GPUs with 14 rows each', {
    ...RETRIEVAL,
    schedule: { kind: 'lavis', peak: 1e-5, minimum: 0, warmupStart: 1e-8, warmupSteps: 1000 },
    layerDecay: 0.95, // in the file; its own loop never applied it
  }),
};
