import { openCheckpoint } from '@blip2/checkpoints/node';
import {
  type Checkpoint,
  ConfigError,
  readCheckpointJson,
  type RunOptions,
  type Tokenizer,
  type WeightSource,
} from '@blip2/core';
import { QFORMER_STAGE_1, type QFormerConfig, qformerConfigFromJson } from '@blip2/qformer';
import { loadTokenizer } from '@blip2/tokenizers';
import { initialQFormer } from '../../parameters/initial-qformer.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';
import { languagePartOf } from './language-part.ts';
import { bertVocabulary, filesOf, jsonFile, preprocessorFile, tokenizerFilesOf } from './model-files.ts';
import type { RecipeLanguageModel, RecipeModel } from './model-parts.ts';
import { isImageNorm, type VisionPart, visionPartOf } from './vision-part.ts';

/** How models of a recipe are found. */
export interface OpenModelOptions extends RunOptions {
  /** Take what is in the cache of the Hub, and download nothing. @default false */
  readonly offline?: boolean;
  /** Of `model` on the Hub; the other parts have their own. */
  readonly revision?: string;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Opens the model that a recipe begins with and joins what it lacks: a caption head, a text branch, a language model. Nothing is read but
 * configurations and tokenizers.
 *
 * @returns the model; dispose its `checkpoints` when no weight is read any more.
 * @throws {ConfigError} when parts are missing or do not fit each other.
 * @throws {CheckpointError} | {WeightsError} | {DownloadError} as `openCheckpoint`.
 */
export async function openRecipeModel(recipe: CompleteRecipe, options: OpenModelOptions = {}): Promise<RecipeModel> {
  const checkpoints: Checkpoint[] = [];
  const open = async (name: string): Promise<Checkpoint> => {
    const { revision, ...common } = options;
    const checkpoint = await openCheckpoint(name, name === recipe.model ? { ...common, revision } : common);
    checkpoints.push(checkpoint);
    return checkpoint;
  };
  try {
    const parts = await (recipe.recipe === 'stage1' || recipe.recipe === 'retrieval'
      ? openMatchingModel(recipe, open, options)
      : openWritingModel(recipe, open, options));
    return { ...parts, checkpoints };
  } catch (cause) {
    for (const checkpoint of checkpoints) checkpoint.dispose();
    throw cause;
  }
}

type Open = (name: string) => Promise<Checkpoint>;

/** A model of the first stage: a Q-Former that reads text, with all its heads. */
async function openMatchingModel(
  recipe: CompleteRecipe,
  open: Open,
  options: RunOptions,
): Promise<Omit<RecipeModel, 'checkpoints'>> {
  const base = await open((recipe.model ?? recipe.vision)!);
  const json = await baseJson(base, recipe);
  const vision = await visionPartOf(base, recipe.imageSize);
  const bert = recipe.bert === undefined ? undefined : await open(recipe.bert);
  const words = recipe.tokenizer === undefined ? (bert ?? base) : await open(recipe.tokenizer);
  const textTokenizer = await loadTokenizer(words, { kind: 'bert' });
  const own = json && qformerConfigFromJson(json, { weights: base.weights });
  const config: QFormerConfig = {
    ...(own ?? scratchSizes(recipe, vision)),
    ...vocabularyOf(textTokenizer, own),
    readsText: true,
    hasMatchingHead: true,
    hasCaptionHead: true,
    hasTemperature: true,
    contrastiveWidth: own?.contrastiveWidth ?? recipe.qformer?.contrastiveWidth ?? imageTextWidth(json),
    promptWidth: undefined,
  };
  const from = json === undefined ? bert?.weights : base.weights;
  const weights = initialQFormer(config, { seed: recipe.seed, from });
  const files = await tokenizerFilesOf(words, options.abortSignal);
  await addProcessorFiles(files, base, vision, config);
  return {
    json: matchingJson(json, config, vision),
    vision,
    qformer: { config, weights },
    textTokenizer,
    files,
    remarks: drawnHeads(json === undefined ? undefined : base.weights, weights),
  };
}

/** A model that writes: the Q-Former prompts a language model. */
async function openWritingModel(
  recipe: CompleteRecipe,
  open: Open,
  options: RunOptions,
): Promise<Omit<RecipeModel, 'checkpoints'>> {
  const base = await open(recipe.model!);
  const baseConfig = (await baseJson(base, recipe))!;
  const vision = await visionPartOf(base, recipe.imageSize);
  const languageFolder = recipe.languageModel === undefined ? base : await open(recipe.languageModel);
  const language = await languagePartOf(languageFolder, languageFolder !== base);
  const text = recipe.recipe === 'vqa' ? await textBranchOf(recipe, base, open) : undefined;
  const joined = { ...baseConfig, text_config: language.json };
  const own = qformerConfigFromJson(joined, { weights: base.weights });
  const config: QFormerConfig = {
    ...own,
    ...(text && vocabularyOf(text.tokenizer, text.config)),
    readsText: text !== undefined,
    hasMatchingHead: false,
    hasCaptionHead: false,
    hasTemperature: false,
    contrastiveWidth: undefined,
    promptWidth: language.config.kind === 'opt' ? language.config.config.embeddingWidth : language.config.config.width,
  };
  const weights = initialQFormer(config, { seed: recipe.seed, from: eitherOf(base.weights, text?.checkpoint.weights) });
  const files = await tokenizerFilesOf(languageFolder, options.abortSignal);
  if (text !== undefined) files.set('vocab.txt', await bertVocabulary(text.words, options.abortSignal));
  // A plain model's own settings would end texts elsewhere.
  const settings = await filesOf(base, languageFolder === base ? ['generation_config.json'] : []);
  for (const [name, bytes] of settings) files.set(name, bytes);
  await addProcessorFiles(files, base, vision, config);
  const { config: languageConfig, tokenizer, weights: languageWeights } = language;
  return {
    json: writingJson(joined, config, vision, languageConfig.kind),
    vision,
    qformer: { config, weights },
    language: { ...languageConfig, tokenizer, json: language.json, weights: languageWeights } as RecipeLanguageModel,
    textTokenizer: text?.tokenizer,
    files,
    remarks: [
      ...(base.weights.get('language_projection.weight') === undefined
        ? ['the projection to the language model begins with drawn numbers']
        : []),
      ...(recipe.recipe === 'vqa' && text === undefined && recipe.readQuestion === undefined
        ? [
            `the queries do not read the question, only the language model does: the Q-Former of ${base.name} reads no text. ` +
              'A stage-1 model that does can be named with textBranch (--text-branch).',
          ]
        : []),
    ],
  };
}

interface TextBranch {
  /** Has the weights. */
  readonly checkpoint: Checkpoint;
  /** Has the tokenizer. */
  readonly words: Checkpoint;
  readonly tokenizer: Tokenizer;
  readonly config?: QFormerConfig;
}

/** What reads questions: the model's own text branch, or that of another; nothing where the recipe does without. */
async function textBranchOf(recipe: CompleteRecipe, base: Checkpoint, open: Open): Promise<TextBranch | undefined> {
  const { textBranch, tokenizer: folder, readQuestion } = recipe;
  const readsText = base.weights.get('embeddings.word_embeddings.weight') !== undefined;
  if (readQuestion === false) return undefined;
  if (textBranch === undefined && !readsText) {
    if (readQuestion === undefined) return undefined;
    throw new ConfigError(
      `readQuestion: the Q-Former of ${base.name} reads no text, expected one that does. Name a stage-1 model with textBranch, or leave readQuestion out.`,
    );
  }
  const checkpoint = textBranch === undefined ? base : await open(textBranch);
  const words = folder === undefined ? checkpoint : await open(folder);
  const json = (await readCheckpointJson(checkpoint, 'config.json')) as Json;
  const config = json['model_type'] === 'blip-2' ? qformerConfigFromJson(json, { weights: checkpoint.weights }) : undefined;
  return { checkpoint, words, tokenizer: await loadTokenizer(words, { kind: 'bert' }), config };
}

/** The first source that has a name. */
function eitherOf(first: WeightSource, second: WeightSource | undefined): Pick<WeightSource, 'get'> {
  return { get: (name) => first.get(name) ?? second?.get(name) };
}

/** The configuration of a BLIP-2 model; nothing where training begins from an image encoder. */
async function baseJson(base: Checkpoint, { model, recipe }: CompleteRecipe): Promise<Json | undefined> {
  if (model === undefined) return undefined;
  const json = (await readCheckpointJson(base, 'config.json')) as Json;
  if (json['model_type'] !== 'blip-2') {
    throw new ConfigError(
      `${base.name}: is a model of type ${JSON.stringify(json['model_type'])}, expected "blip-2". ` +
        (recipe === 'stage1' ? "Write 'vision' instead of 'model' to begin from an image encoder." : 'Name a BLIP-2 model.'),
    );
  }
  if (json['quantization_config'] !== undefined) {
    throw new ConfigError(
      `${base.name}: is quantised, expected whole weights, which can be trained. Name the model that it was made of.`,
    );
  }
  return json;
}

function scratchSizes({ qformer }: CompleteRecipe, { config }: VisionPart): QFormerConfig {
  return { ...QFORMER_STAGE_1, ...qformer, imageFeatureWidth: config.width, imageNormEpsilon: config.normEpsilon };
}

/** `[DEC]` is the last word: the tokenizer's own, or one more than it has. Source: LAVIS `Blip2Base.init_tokenizer`. */
function vocabularyOf(
  tokenizer: Tokenizer,
  own: QFormerConfig | undefined,
): Pick<QFormerConfig, 'vocabSize' | 'beginCaptionTokenId' | 'endCaptionTokenId' | 'padTokenId'> {
  const known = tokenizer.tokenId('[DEC]');
  const vocabSize = Math.max(
    own?.readsText ? own.vocabSize : 0,
    known === undefined ? tokenizer.vocabSize + 1 : tokenizer.vocabSize,
  );
  return {
    vocabSize,
    beginCaptionTokenId: known ?? vocabSize - 1,
    endCaptionTokenId: tokenizer.endTokenId ?? QFORMER_STAGE_1.endCaptionTokenId,
    padTokenId: tokenizer.padTokenId,
  };
}

function imageTextWidth(json: Json | undefined): number {
  const width = json?.['image_text_hidden_size'];
  return typeof width === 'number' ? width : QFORMER_STAGE_1.contrastiveWidth!;
}

function qformerJson(json: Json | undefined, config: QFormerConfig): Json {
  const { qformer_text_input: _, ...own } = ((json?.['qformer_config'] as Json | undefined) ?? {}) as Record<string, unknown>;
  return {
    ...own,
    model_type: 'blip_2_qformer',
    cross_attention_frequency: config.crossAttentionFrequency,
    encoder_hidden_size: config.imageFeatureWidth,
    hidden_size: config.width,
    intermediate_size: config.feedForwardWidth,
    max_position_embeddings: config.maxPositions,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    use_qformer_text_input: config.readsText,
    ...(config.readsText && { vocab_size: config.vocabSize }),
  };
}

function matchingJson(json: Json | undefined, config: QFormerConfig, vision: VisionPart): Json {
  return {
    ...withoutImageToken(json),
    architectures: ['Blip2ForImageTextRetrieval'],
    model_type: 'blip-2',
    image_text_hidden_size: config.contrastiveWidth,
    num_query_tokens: config.queries,
    qformer_config: qformerJson(json, config),
    text_config: { model_type: 'opt' }, // a filler, as in the Hub's files
    use_decoder_only_language_model: true,
    vision_config: vision.json,
  };
}

/** Matching models have no place for images in their text. */
function withoutImageToken(json: Json = {}): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => name !== 'image_token_index' && name !== 'image_token_id'));
}

function writingJson(json: Json, config: QFormerConfig, vision: VisionPart, kind: 'opt' | 't5'): Json {
  return {
    ...json,
    architectures: ['Blip2ForConditionalGeneration'],
    model_type: 'blip-2',
    num_query_tokens: config.queries,
    qformer_config: qformerJson(json, config),
    use_decoder_only_language_model: kind === 'opt',
    vision_config: vision.json,
  };
}

async function addProcessorFiles(
  files: Map<string, Uint8Array>,
  base: Checkpoint,
  vision: VisionPart,
  config: QFormerConfig,
): Promise<void> {
  files.set(
    'preprocessor_config.json',
    preprocessorFile(await base.readFile('preprocessor_config.json'), vision.config.imageSize),
  );
  const own = await base.readFile('processor_config.json');
  files.set('processor_config.json', own ?? jsonFile({ processor_class: 'Blip2Processor', num_query_tokens: config.queries }));
}

/** Heads that training begins without. */
function drawnHeads(given: WeightSource | undefined, all: WeightSource): string[] {
  const heads = { 'cls.predictions.transform.dense.weight': 'the caption head', 'itm_head.weight': 'the matching head' };
  const lacking = Object.entries(heads).filter(
    ([name]) => given !== undefined && given.get(name) === undefined && all.get(name) !== undefined,
  );
  return lacking.map(([, head]) => `${head} begins with drawn numbers: the model's files have none`);
}

/** Names of what the trained model's files will have beside the Q-Former's. */
export function frozenNames({ vision, language }: Pick<RecipeModel, 'vision' | 'language'>): string[] {
  return [...vision.weights.names.filter((name) => !isImageNorm(name)), ...(language?.weights.names ?? [])];
}
