import { type Blip2ConfigJson, readBlip2Config, readJsonFile } from '@blip2/checkpoints';
import {
  type Checkpoint,
  type EngineOptions,
  type LanguageModel,
  type PlacementOptions,
  type QFormer,
  type RunOptions,
  type Stage,
  type Tokenizer,
  type VisionEncoder,
  WeightBudget,
} from '@blip2/core';
import { type ImageProcessor, imageProcessorFromJson, imageProcessorOfSize } from '@blip2/image';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import { loadTokenizer } from '@blip2/tokenizers';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import { type Blip2, createBlip2, eagerName } from './blip2.ts';
import { type EngineChoice, nameEngines, PART_NAMES, type PartEngines, resolveEngines } from './engine-choice.ts';
import type { ImageDecoder } from './image-input.ts';
import { LoadProgress } from './load-progress.ts';
import { assertKnownWeights, partOf } from './parts.ts';

/** The stages of a model. */
interface Stages {
  readonly visionEncoder: VisionEncoder;
  readonly qformer: QFormer;
  readonly languageModel?: LanguageModel;
}

/** Your own implementations in place of a checkpoint's parts. They are not loaded, and stay yours to dispose. */
export interface GivenParts extends Partial<Stages> {}

export interface LoadBlip2Options extends EngineChoice, RunOptions, PlacementOptions {
  /**
   * Bytes of weights of eager parts that stay in memory; blocks beyond it are read when they are used. An engine decides for
   * itself. @default by backend
   */
  readonly weightBudgetBytes?: number;
  readonly parts?: GivenParts;
  /** Reads image files; the `blip2/node` and `blip2/browser` entries set it. */
  readonly decodeImage?: ImageDecoder;
}

/**
 * Loads every part of a BLIP-2 checkpoint and joins them.
 *
 * @param checkpoint - A model in the Hugging Face layout. The result owns it: streamed blocks read from it.
 * @param options.engine - `'eager'` here by default: 'blip2/node' is the entry that brings a compiler.
 * @returns a model that owns its stages and the checkpoint, except the parts you gave; `dispose()` it.
 * @throws {ConfigError} for a configuration that is not BLIP-2's. @throws {WeightsError} for weights that do not fit it.
 * On error or abort nothing stays behind, and the checkpoint is disposed.
 *
 * @example
 * using model = await loadBlip2(await openCheckpointUrl('/models/blip2-itm-vit-g'));
 */
export async function loadBlip2(checkpoint: Checkpoint, options: LoadBlip2Options = {}): Promise<Blip2> {
  const loaded: Stage[] = [];
  try {
    const engines = await resolveEngines(options);
    const config = await readBlip2Config(checkpoint, options);
    assertKnownWeights(checkpoint.weights);
    const processors = await loadProcessors(checkpoint, config, options);
    const stages = await loadStages(checkpoint, engines, options, loaded);
    const { parts = {}, decodeImage } = options;
    const model = createBlip2(
      { ...stages, ...processors, decodeImage },
      {
        name: checkpoint.name,
        engine: engineName(engines, stages, parts),
        borrowed: Object.values<Stage | undefined>({ ...parts }).filter((part) => part !== undefined),
      },
    );
    const dispose = (): void => {
      model.dispose();
      checkpoint.dispose();
    };
    return { ...model, dispose, [Symbol.dispose]: dispose };
  } catch (cause) {
    for (const stage of loaded) stage.dispose();
    checkpoint.dispose();
    throw cause;
  }
}

/**
 * The language model claims memory first, since every token reads all of it; the vision encoder last, since an
 * image reads it once.
 */
async function loadStages(
  checkpoint: Checkpoint,
  engines: PartEngines,
  options: LoadBlip2Options,
  loaded: Stage[],
): Promise<Stages> {
  const { parts = {}, abortSignal } = options;
  const budget = options.budget ?? new WeightBudget(options.weightBudgetBytes);
  const progress = new LoadProgress(checkpoint.weights, options.onProgress);
  const load = async <Part extends keyof Stages>(part: Part, loader: StageLoader<Part>): Promise<NonNullable<Stages[Part]>> => {
    const given = parts[part];
    if (given !== undefined) return given as NonNullable<Stages[Part]>;
    const onProgress = progress.listener(PART_NAMES[part]);
    const stage = await loader(checkpoint, { engine: engines[part], budget, abortSignal, onProgress });
    loaded.push(stage);
    return stage;
  };
  const writes = parts.languageModel !== undefined || checkpoint.weights.names.some((name) => partOf(name) === 'language model');
  const languageModel = writes ? await load('languageModel', loadLanguageModel) : undefined;
  const qformer = await load('qformer', loadQFormer);
  const visionEncoder = await load('visionEncoder', loadVisionEncoder);
  progress.complete();
  return { visionEncoder, qformer, languageModel };
}

type StageLoader<Part extends keyof Stages> = (
  checkpoint: Checkpoint,
  options: RunOptions & PlacementOptions & EngineOptions,
) => Promise<NonNullable<Stages[Part]>>;

/** What the parts that are loaded run on. */
function engineName(engines: PartEngines, stages: Stages, given: GivenParts): string {
  const loaded = (Object.keys(PART_NAMES) as (keyof Stages)[]).filter((part) => stages[part] !== undefined && !given[part]);
  return nameEngines(engines, loaded, eagerName());
}

async function loadProcessors(
  checkpoint: Checkpoint,
  config: Blip2ConfigJson,
  options: RunOptions,
): Promise<{ imageProcessor: ImageProcessor; textTokenizer?: Tokenizer }> {
  const json = await readJsonFile(checkpoint, 'preprocessor_config.json', { ...options, optional: true });
  const imageProcessor =
    json === undefined ? imageProcessorOfSize(config.vision_config.image_size) : imageProcessorFromJson(json);
  if (!config.qformer_config.use_qformer_text_input) return { imageProcessor };
  return { imageProcessor, textTokenizer: await loadTokenizer(checkpoint, { kind: 'bert' }) };
}
