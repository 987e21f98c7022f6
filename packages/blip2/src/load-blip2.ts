import { type Blip2ConfigJson, readBlip2Config, readJsonFile } from '@blip2/checkpoints';
import {
  type Checkpoint,
  ConfigError,
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
import { type Blip2, createBlip2 } from './blip2.ts';
import type { ImageDecoder } from './image-input.ts';
import { LoadProgress } from './load-progress.ts';
import { assertKnownWeights, partOf } from './parts.ts';

/** How models are executed: `eager` runs tfjs operations as they come, on the backend that the application chose. */
export type Engine = 'eager';

/** The engines of this version. */
export const ENGINES: readonly Engine[] = ['eager'];

/** Your own implementations in place of a checkpoint's parts. They are not loaded, and stay yours to dispose. */
export interface GivenParts {
  readonly visionEncoder?: VisionEncoder;
  readonly qformer?: QFormer;
  readonly languageModel?: LanguageModel;
}

export interface LoadBlip2Options extends RunOptions, PlacementOptions {
  /** @default 'eager' */
  readonly engine?: Engine;
  /** Bytes of weights that stay in memory; blocks beyond it are read when they are used. @default by backend */
  readonly weightBudgetBytes?: number;
  readonly parts?: GivenParts;
  /** Reads image files; the `blip2/node` and `blip2/browser` entries set it. */
  readonly decodeImage?: ImageDecoder;
}

/**
 * Loads every part of a BLIP-2 checkpoint and joins them.
 *
 * @param checkpoint - A model in the Hugging Face layout. The result owns it: streamed blocks read from it.
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
    assertEngine(options.engine ?? 'eager');
    const config = await readBlip2Config(checkpoint, options);
    assertKnownWeights(checkpoint.weights);
    const processors = await loadProcessors(checkpoint, config, options);
    const stages = await loadStages(checkpoint, options, loaded);
    const given = Object.values(options.parts ?? {}).filter((part) => part !== undefined);
    const model = createBlip2(
      { ...stages, ...processors, decodeImage: options.decodeImage },
      { name: checkpoint.name, borrowed: given },
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
  options: LoadBlip2Options,
  loaded: Stage[],
): Promise<{ visionEncoder: VisionEncoder; qformer: QFormer; languageModel?: LanguageModel }> {
  const { parts = {}, abortSignal } = options;
  const budget = options.budget ?? new WeightBudget(options.weightBudgetBytes);
  const progress = new LoadProgress(checkpoint.weights, options.onProgress);
  const load = async <S extends Stage>(given: S | undefined, name: string, loader: StageLoader<S>): Promise<S> => {
    if (given !== undefined) return given;
    const stage = await loader(checkpoint, { budget, abortSignal, onProgress: progress.listener(name) });
    loaded.push(stage);
    return stage;
  };
  const writes = parts.languageModel !== undefined || checkpoint.weights.names.some((name) => partOf(name) === 'language model');
  const languageModel = writes ? await load<LanguageModel>(parts.languageModel, 'language model', loadLanguageModel) : undefined;
  const qformer = await load<QFormer>(parts.qformer, 'Q-Former', loadQFormer);
  const visionEncoder = await load<VisionEncoder>(parts.visionEncoder, 'vision encoder', loadVisionEncoder);
  progress.complete();
  return { visionEncoder, qformer, languageModel };
}

type StageLoader<S extends Stage> = (checkpoint: Checkpoint, options: RunOptions & PlacementOptions) => Promise<S>;

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

function assertEngine(engine: string): void {
  if ((ENGINES as readonly string[]).includes(engine)) return;
  throw new ConfigError(`loadBlip2: the engine '${engine}' is not known. This version has ${ENGINES.join(', ')}.`);
}
