import { flag, positive, type Schema, size } from '@blip2/core/config';
import * as z from 'zod/mini';
import { type DataEntry, dataEntry } from './data-entry.ts';
import { checkFields, strictFields } from './strict-fields.ts';

/** What can be trained. */
export type RecipeName = 'stage1' | 'stage2' | 'caption' | 'vqa' | 'retrieval';

export const RECIPE_NAMES: readonly RecipeName[] = ['stage1', 'stage2', 'caption', 'vqa', 'retrieval'];

/** The learning rate over time. */
export interface ScheduleConfig {
  /** `cosine` by step, as the paper's; `lavis` by epoch, as LAVIS's; `constant`. @default 'cosine' */
  readonly kind?: 'cosine' | 'lavis' | 'constant';
  /** The largest rate. @default 1e-4 for the two stages, 1e-5 for fine-tuning */
  readonly peak?: number;
  /** @default 1e-5 (stage1), 5e-5 (stage2), 0 */
  readonly minimum?: number;
  /** @default a tenth of the steps, at most 1000; 2000 for the two stages */
  readonly warmupSteps?: number;
  /** The rate that the warm-up begins with. @default 0 */
  readonly warmupStart?: number;
}

/** AdamW. */
export interface OptimizerConfig {
  /** @default [0.9, 0.98] for the two stages, [0.9, 0.999] for fine-tuning */
  readonly betas?: readonly [number, number];
  /** @default 1e-8 */
  readonly epsilon?: number;
  /** @default 0.05 */
  readonly weightDecay?: number;
  /** Gradients longer than this are shortened. @default none */
  readonly clipNorm?: number;
}

/** Which parts of the model train. The language model never does. */
export interface TrainedParts {
  /** The image encoder. @default false */
  readonly vision?: boolean;
  /** `ln_vision`. @default true, as all below */
  readonly imageNorm?: boolean;
  readonly queries?: boolean;
  /** Self-attention, cross-attention and what the queries pass through. */
  readonly qformer?: boolean;
  /** Word and position embeddings, and the feed-forward layers of text. */
  readonly text?: boolean;
  /** Contrastive projections, matching and caption heads, the temperature. */
  readonly heads?: boolean;
  /** The projection to the language model. */
  readonly projection?: boolean;
}

/** Sizes of a Q-Former that begins from scratch. @default BERT-base with 32 queries */
export interface QFormerSizes {
  readonly queries?: number;
  readonly width?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly feedForwardWidth?: number;
  readonly maxPositions?: number;
  readonly contrastiveWidth?: number;
}

/** Random parts of images, mirrored or not. */
export interface AugmentationConfig {
  /** Smallest and largest share of the area. @default [0.5, 1] */
  readonly scale?: readonly [number, number];
  /** Smallest and largest width over height. @default [3/4, 4/3] */
  readonly aspectRatio?: readonly [number, number];
  /** @default 0.5 */
  readonly flipProbability?: number;
  /** @default false */
  readonly randAugment?: boolean;
}

/** A training run as data: what a file holds, and what `runRecipe` takes. Every field but `recipe` and `data` has a default. */
export interface RecipeConfig {
  readonly recipe: RecipeName;
  /** Values to begin with; see `RECIPE_PRESETS`. Fields given beside it count more. */
  readonly preset?: string;
  /** The model that training begins with: a folder in the Hub's layout, or a Hub id. */
  readonly model?: string;
  /** stage1 from scratch: the folder of the image encoder, of BLIP-2 or CLIP. */
  readonly vision?: string;
  /** stage1 from scratch: a folder with BERT's weights and tokenizer. @default drawn weights */
  readonly bert?: string;
  /** A folder with the tokenizer of the Q-Former. @default that of `bert`, `textBranch` or `model` */
  readonly tokenizer?: string;
  readonly qformer?: QFormerSizes;
  /** stage2, caption, vqa from a stage-1 model: the folder of OPT or Flan-T5. */
  readonly languageModel?: string;
  /** vqa: a stage-1 model whose text branch, and tokenizer, reads the questions, where `model` has none. */
  readonly textBranch?: string;

  readonly data: readonly DataEntry[];
  /** Held-out records. @default none */
  readonly validation?: readonly DataEntry[];
  /** `cached` encodes every image once; `online` each time it comes, augmented. @default 'cached', or 'online' where the encoder trains or images are augmented */
  readonly features?: 'cached' | 'online';
  /** Where cached features are kept. @default in the folder of the run */
  readonly featureStore?: string;
  /** @default the model's */
  readonly imageSize?: number;
  /** @default none where features are cached, else `{}` */
  readonly augmentation?: AugmentationConfig | false;

  /** What share of images may be broken; they are skipped. @default 0.01 */
  readonly maxBrokenShare?: number;

  /** Rows of a batch. @default 16 */
  readonly batchSize?: number;
  /** Batches of a step. @default 1 */
  readonly accumulate?: number;
  /** @default those of the epochs */
  readonly steps?: number;
  /** Passes over the data. @default 5 */
  readonly epochs?: number;
  readonly schedule?: ScheduleConfig;
  readonly optimizer?: OptimizerConfig;
  readonly dropout?: number;
  readonly seed?: number;
  readonly train?: TrainedParts;
  /** Factor of the rate from one block of the encoder to the block below. @default 1 */
  readonly layerDecay?: number;

  /** caption: what the caption continues; vqa: the template, with `{}` for the question. @default 'a photo of'; that of `answer` */
  readonly prompt?: string;
  /** Longest text in tokens. @default 32; for vqa with OPT, whose text has question and answer, 64 */
  readonly maxTextTokens?: number;
  /** stage1, retrieval. @default all three */
  readonly objectives?: readonly ('contrast' | 'matching' | 'captioning')[];
  /** vqa: a row for each distinct answer with its weight, or one that is drawn by weight. @default 'expanded' */
  readonly answers?: 'expanded' | 'sampled';
  /** vqa: whether the queries read the question. @default whether the model, or `textBranch`, can */
  readonly readQuestion?: boolean;

  /** @default 'compiled' */
  readonly engine?: 'compiled' | 'eager';
  /** Steps between checkpoints. @default 500 */
  readonly saveEvery?: number;
  /** Checkpoints that stay. @default 2 */
  readonly keep?: number;
  /** @default 10 */
  readonly logEvery?: number;
  /** @default 0, or saveEvery where there is `validation` */
  readonly evaluateEvery?: number;
  /** Format of the weights of the trained model: `keep` stores frozen ones as they were and trained ones in 32 bits. @default 'keep' */
  readonly outputDtype?: 'keep' | 'fp32' | 'fp16';
  /** Also write the model with the original names. @default false */
  readonly lavis?: boolean;
}

/** A recipe as a file may write it: parts of a preset may stand in for fields. */
export type RecipeInput = Partial<Omit<RecipeConfig, 'data' | 'validation'>> & {
  readonly data?: string | DataEntry | readonly (string | DataEntry)[];
  readonly validation?: string | DataEntry | readonly (string | DataEntry)[];
};

const optional = <Value>(schema: Schema<Value>): Schema<Value | undefined> => z.optional(schema);
const place = optional(z.string('expected a folder or a path').check(z.minLength(1, 'expected a folder or a path')));
const rate = optional(z.number('expected a number').check(z.gte(0, 'expected 0 or more')));
const share = optional(z.number('expected a number').check(z.gte(0, 'expected 0 or more'), z.lt(1, 'expected a number below 1')));
const count = optional(z.int('expected a whole number').check(z.gte(0, 'expected 0 or more')));
const range = optional(z.tuple([positive, positive], 'expected two numbers')) as Schema<readonly [number, number] | undefined>;
const one = <Name extends string>(...names: Name[]): Schema<Name | undefined> =>
  optional(z.enum(names as [Name, ...Name[]], `expected one of ${names.join(', ')}`) as never);
const part = optional(flag);
const sources = z.pipe(
  z.transform((given: unknown) => (given === undefined || Array.isArray(given) ? given : [given])),
  z.optional(
    z.array(dataEntry, 'expected a path, a source or a list of them').check(z.minLength(1, 'expected at least one source')),
  ),
) as Schema<readonly DataEntry[] | undefined>;

const beta = z.number('expected a number').check(z.gte(0, 'expected 0 or more'), z.lt(1, 'expected a number below 1'));
const schedule = optional(
  strictFields({
    kind: one('cosine', 'lavis', 'constant'),
    peak: optional(positive),
    minimum: rate,
    warmupSteps: count,
    warmupStart: rate,
  }) as Schema<ScheduleConfig>,
);
const optimizer = optional(
  strictFields({
    betas: optional(z.tuple([beta, beta], 'expected two numbers')) as Schema<readonly [number, number] | undefined>,
    epsilon: optional(positive),
    weightDecay: rate,
    clipNorm: optional(positive),
  }) as Schema<OptimizerConfig>,
);
const augmentation = optional(
  z.union(
    [
      z.literal(false),
      strictFields({
        scale: range,
        aspectRatio: range,
        flipProbability: optional(
          z.number('expected a number').check(z.gte(0, 'expected 0 or more'), z.lte(1, 'expected at most 1')),
        ),
        randAugment: part,
      }) as Schema<AugmentationConfig>,
    ],
    'expected false, or an object of scale, aspectRatio, flipProbability and randAugment',
  ),
);

const FIELDS: Readonly<Record<keyof RecipeConfig, Schema<unknown>>> = {
  recipe: one(...RECIPE_NAMES),
  preset: optional(z.string('expected the name of a preset')),
  model: place,
  vision: place,
  bert: place,
  tokenizer: place,
  qformer: optional(
    strictFields({
      queries: optional(size),
      width: optional(size),
      layers: optional(size),
      heads: optional(size),
      feedForwardWidth: optional(size),
      maxPositions: optional(size),
      contrastiveWidth: optional(size),
    }),
  ),
  languageModel: place,
  textBranch: place,
  data: sources,
  validation: sources,
  features: one('cached', 'online'),
  featureStore: place,
  imageSize: optional(size),
  augmentation,
  maxBrokenShare: optional(z.number('expected a number').check(z.gte(0, 'expected 0 or more'), z.lte(1, 'expected at most 1'))),
  batchSize: optional(size),
  accumulate: optional(size),
  steps: optional(size),
  epochs: optional(size),
  schedule,
  optimizer,
  dropout: share,
  seed: optional(z.int('expected a whole number')),
  train: optional(
    strictFields({ vision: part, imageNorm: part, queries: part, qformer: part, text: part, heads: part, projection: part }),
  ),
  layerDecay: optional(z.number('expected a number').check(z.gt(0, 'expected a number above 0'), z.lte(1, 'expected at most 1'))),
  prompt: optional(z.string('expected a text')),
  maxTextTokens: optional(size),
  objectives: optional(
    z
      .array(z.enum(['contrast', 'matching', 'captioning'], 'expected contrast, matching or captioning'), 'expected a list')
      .check(z.minLength(1, 'expected at least one')),
  ),
  answers: one('expanded', 'sampled'),
  readQuestion: part,
  engine: one('compiled', 'eager'),
  saveEvery: optional(size),
  keep: optional(size),
  logEvery: optional(size),
  evaluateEvery: count,
  outputDtype: one('keep', 'fp32', 'fp16'),
  lavis: part,
};

const schema = strictFields(FIELDS) as Schema<Partial<RecipeConfig>>;

/**
 * Checks what a file or a program says of a recipe, field by field. What must be there is known when presets and the command line
 * have had their say: see `completeRecipe`.
 *
 * @param where - The file, for messages.
 * @throws {ConfigError} naming file, field, what it holds and what was expected; for a field nobody knows, the nearest one.
 */
export function checkRecipe(given: unknown, where: string): Partial<RecipeConfig> {
  return checkFields(schema, given, where);
}
