import {
  assertShape,
  type Checkpoint,
  ConfigError,
  type DecodingSession,
  type Described,
  DisposedError,
  type EngineOptions,
  InputError,
  type PlacementOptions,
  readCheckpointConfig,
  type RunOptions,
  ShapeError,
  type TokenBatch,
  WeightBudget,
  WeightReader,
  type WeightSource,
} from '@blip2/core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { BlockwiseRunner } from './blockwise-runner.ts';
import { type CaptioningOptions, CaptioningSession } from './captioning-session.ts';
import { EngineRunner } from './engine-runner.ts';
import type { QFormerHeadParams } from './heads.ts';
import type { EncodedQueries, EncodeQueriesOptions, LoadedQFormer, WithAttention, WithLayers } from './loaded-qformer.ts';
import type { QFormerParams } from './qformer.ts';
import { type QFormerConfig, qformerConfigFromJson, type QFormerConfigOptions } from './qformer-config.ts';
import { PART, type PassInputs, type PassOutputs, type QFormerRunner, type WantedOutputs } from './qformer-runner.ts';
import { describeQFormer, isQFormerWeight } from './qformer-weights.ts';
import { assertText } from './text-input.ts';

/**
 * Makes a Q-Former from a configuration and weights. Without an engine, blocks that find no room in the budget stream: their
 * weights are read for each call. An engine runs every task as one function: those that every user of the checkpoint needs
 * (the queries' pass; the projection to a prompt; matching) are prepared here, the others when they are first used.
 *
 * @param weights - Read from for as long as the Q-Former lives. Weights of other parts are left alone.
 * @param options.budget - Shared with the model's other parts; an engine does not need it. @default what the backend can hold
 * @param options.engine - Stays the caller's. @default none: tfjs operations on the current backend
 * @returns a Q-Former that owns its tensors; `dispose()` it. On error or abort nothing stays behind.
 * @throws {WeightsError} when weights are missing, left over or have other shapes.
 *
 * @example
 * using qformer = await createQFormer(checkpoint.weights, QFORMER_MATCHING);
 */
export async function createQFormer(
  weights: WeightSource,
  config: QFormerConfig,
  options: PlacementOptions & EngineOptions & RunOptions = {},
): Promise<LoadedQFormer> {
  options.abortSignal?.throwIfAborted();
  const reader = new WeightReader(weights, PART);
  const described = describeQFormer(reader, config);
  reader.finish(isQFormerWeight);
  const runner =
    options.engine === undefined
      ? new BlockwiseRunner(described, config, options.budget ?? new WeightBudget())
      : new EngineRunner(described, config, options.engine);
  await runner.load(options);
  return new LoadedModel(described, config, runner);
}

/**
 * Loads the Q-Former of a BLIP-2 checkpoint, with the heads that it has.
 *
 * @param checkpoint - With `config.json`; stays the caller's, and open while the Q-Former streams.
 * @returns a Q-Former, the caller's to dispose.
 * @throws {ConfigError} for the configuration of another kind of model. @throws {WeightsError} for weights that do not fit it.
 *
 * @example
 * using qformer = await loadQFormer(await openCheckpointFolder('models/blip2-itm-vit-g'));
 * const queries = await qformer.encodeQueries(imageFeatures);
 */
export async function loadQFormer(
  checkpoint: Checkpoint,
  options: PlacementOptions & EngineOptions & RunOptions & Pick<QFormerConfigOptions, 'imageNormEpsilon'> = {},
): Promise<LoadedQFormer> {
  const { weights } = checkpoint;
  const parse = (json: unknown): QFormerConfig => qformerConfigFromJson(json, { ...options, weights });
  return createQFormer(weights, await readCheckpointConfig(checkpoint, parse, options), options);
}

/** Checks what it is given, types what it gives, and leaves the layers to a runner. */
class LoadedModel implements LoadedQFormer {
  readonly config: QFormerConfig;
  readonly startCaptioning?: LoadedQFormer['startCaptioning'];
  readonly #described: Described<QFormerParams>;
  readonly #runner: QFormerRunner;
  #disposed = false;

  constructor(described: Described<QFormerParams>, config: QFormerConfig, runner: QFormerRunner) {
    this.config = config;
    this.#described = described;
    this.#runner = runner;
    if (config.hasCaptionHead) {
      this.startCaptioning = (imageFeatures, options) => this.#startCaptioning(imageFeatures, options);
    }
  }

  encodeQueries(
    imageFeatures: Tensor3D,
    options?: EncodeQueriesOptions & { readonly returnLayers?: false; readonly returnAttention?: false },
  ): Promise<Tensor3D>;
  encodeQueries<
    const Options extends EncodeQueriesOptions & ({ readonly returnLayers: true } | { readonly returnAttention: true }),
  >(imageFeatures: Tensor3D, options: Options): Promise<EncodedQueries<Options>>;
  async encodeQueries(
    imageFeatures: Tensor3D,
    options: EncodeQueriesOptions = {},
  ): Promise<Tensor3D | ({ queries: Tensor3D } & Partial<WithLayers & WithAttention>)> {
    const { returnLayers = false, returnAttention = false, text } = options;
    const wanted = { layers: returnLayers, attention: returnAttention };
    const { output: queries, ...pass } = await this.#run('encodeQueries', { imageFeatures, text }, wanted, options); // [batch, queries, width]
    if (!returnLayers && !returnAttention) return queries;
    return { queries, ...(returnLayers && { layers: pass.layers }), ...(returnAttention && { attention: pass.attention }) };
  }

  encodeText(text: TokenBatch, options?: RunOptions & { readonly returnLayers?: false }): Promise<Tensor3D>;
  encodeText(
    text: TokenBatch,
    options: RunOptions & { readonly returnLayers: true },
  ): Promise<{ readonly text: Tensor3D } & WithLayers>;
  async encodeText(
    text: TokenBatch,
    options: RunOptions & { readonly returnLayers?: boolean } = {},
  ): Promise<Tensor3D | ({ text: Tensor3D } & WithLayers)> {
    const { output, layers } = await this.#run('encodeText', { text }, { layers: options.returnLayers }, options); // [batch, tokens, width]
    return options.returnLayers ? { text: output, layers } : output;
  }

  async match(imageFeatures: Tensor3D, text: TokenBatch, options: RunOptions = {}): Promise<Tensor2D> {
    this.#assertHas('match', 'matching', 'matching head');
    this.#assertInputs('match', { imageFeatures, text });
    return this.#runner.match(imageFeatures, text, options); // [batch, 2]
  }

  async projectToPrompt(queries: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    const shape = ['batch', 'queries', this.config.width];
    assertShape(queries, shape, 'projectToPrompt: queries', 'Pass the output of encodeQueries.');
    this.#assertHas('projectToPrompt', 'promptProjection', 'projection to a language model');
    return this.#runner.project('promptProjection', queries, options); // [batch, queries, promptWidth]
  }

  async projectImage(queries: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    assertShape(queries, ['batch', 'queries', this.config.width], 'projectImage: queries', 'Pass the output of encodeQueries.');
    this.#assertHas('projectImage', 'imageProjection', 'contrastive projections');
    return this.#runner.project('imageProjection', queries, options); // [batch, queries, contrastiveWidth]
  }

  async projectText(text: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    assertShape(text, ['batch', 'tokens', this.config.width], 'projectText: text', 'Pass the output of encodeText.');
    this.#assertHas('projectText', 'textProjection', 'contrastive projections');
    return this.#runner.project('textProjection', text, options); // [batch, tokens, contrastiveWidth]
  }

  async readTemperature(options: RunOptions = {}): Promise<number | undefined> {
    this.#assertAlive();
    return (await this.#described.heads.temperature?.read(options))?.[0];
  }

  dispose(): void {
    this.#disposed = true;
    this.#runner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #startCaptioning(imageFeatures: Tensor3D, options: CaptioningOptions = {}): Promise<DecodingSession> {
    this.#assertInputs('startCaptioning', { imageFeatures });
    const cache = await this.#runner.startCaptions(imageFeatures, options);
    return new CaptioningSession(cache, imageFeatures.shape[0], this.config, options);
  }

  /** One pass through all layers. @returns tensors that are the caller's. */
  async #run(where: string, inputs: PassInputs, wanted: WantedOutputs, options: RunOptions): Promise<PassOutputs> {
    this.#assertInputs(where, inputs);
    return this.#runner.runPass(inputs, wanted, options);
  }

  /** Checks inputs at the boundary. */
  #assertInputs(where: string, { imageFeatures, text }: PassInputs): void {
    this.#assertAlive();
    if (imageFeatures !== undefined) this.#assertImage(where, imageFeatures);
    if (text === undefined) return;
    this.#assertReadsText(where, text, imageFeatures);
    assertText(text, this.config, `${where}: text`);
  }

  #assertHas(where: string, name: keyof QFormerHeadParams, what: string): void {
    this.#assertAlive();
    if (this.#described.heads[name] === undefined) {
      throw new ConfigError(`${where}: this Q-Former has no ${what}. Load ${CURES[name]}.`);
    }
  }

  #assertAlive(): void {
    if (this.#disposed) throw new DisposedError(PART);
  }

  #assertImage(where: string, imageFeatures: Tensor3D): void {
    const { imageFeatureWidth } = this.config;
    const width = imageFeatures.shape[2];
    const cure =
      `${encoderOfWidth(width)}; this Q-Former was trained on ${encoderName(imageFeatureWidth)} (${imageFeatureWidth}). ` +
      `Load the encoder of the same checkpoint, or a Q-Former for this encoder.`;
    assertShape(imageFeatures, ['batch', 'tokens', imageFeatureWidth], `${where}: imageFeatures`, cure);
    if (imageFeatures.size > 0) return;
    throw new ShapeError(
      `${where}: imageFeatures is [${imageFeatures.shape.join(', ')}], expected at least one image and one token. Leave the call out.`,
      imageFeatures.shape,
      ['batch', 'tokens', imageFeatureWidth],
    );
  }

  #assertReadsText(where: string, text: TokenBatch, imageFeatures: Tensor3D | undefined): void {
    if (this.#described.text === undefined) {
      throw new ConfigError(
        `${where}: text was given, but this Q-Former has no text branch: captioning checkpoints leave it out. ` +
          `Load a matching or stage-1 checkpoint, such as Salesforce/blip2-itm-vit-g${where === 'encodeQueries' ? ', or leave the text out' : ''}.`,
      );
    }
    const images = imageFeatures?.shape[0] ?? text.ids.length;
    if (images === 1 || images === text.ids.length) return;
    throw new InputError(
      `${where}: ${images} images and ${text.ids.length} texts, expected one text for each image, or one image for all texts. Repeat the features or the texts, so that they make pairs.`,
    );
  }
}

/** Where a missing head can be had. */
const CURES: Readonly<Record<keyof QFormerHeadParams, string>> = {
  promptProjection: 'a captioning checkpoint, such as Salesforce/blip2-opt-2.7b',
  imageProjection: 'a matching checkpoint, such as Salesforce/blip2-itm-vit-g',
  textProjection: 'a matching checkpoint, such as Salesforce/blip2-itm-vit-g',
  matching: 'a matching checkpoint, such as Salesforce/blip2-itm-vit-g',
  temperature: 'a stage-1 checkpoint',
};

/** Encoders that BLIP-2 was trained with, by the width of their features. */
const ENCODERS: Readonly<Record<number, string>> = { 1408: 'EVA ViT-g/14', 1024: 'CLIP ViT-L/14' };

function encoderName(width: number): string {
  return ENCODERS[width] ?? 'another encoder';
}

function encoderOfWidth(width: number | undefined): string {
  if (width === undefined) return 'The features lack an axis';
  return ENCODERS[width] === undefined ? `Width ${width} is none of BLIP-2's encoders` : `Width ${width} is ${ENCODERS[width]}`;
}
