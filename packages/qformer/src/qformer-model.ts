import {
  assertShape,
  type Checkpoint,
  ConfigError,
  type DecodingSession,
  type Described,
  DisposedError,
  InputError,
  linear,
  loadBlocks,
  ParameterBlock,
  type PlacementOptions,
  readCheckpointConfig,
  type RunOptions,
  ShapeError,
  tidy,
  type TokenBatch,
  WeightBudget,
  WeightReader,
  type WeightSource,
  withTensorScope,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { jointMask, textOnlyMask } from './attention-masks.ts';
import { type CaptioningOptions, CaptioningSession } from './captioning-session.ts';
import { matchingLogits, projectContrastive, type QFormerHeadParams, type QFormerTextParams } from './heads.ts';
import { type BlockwisePass, type QFormerBlocks, runLayerBlocks } from './layer-blocks.ts';
import type { EncodedQueries, EncodeQueriesOptions, LoadedQFormer, WithAttention, WithLayers } from './loaded-qformer.ts';
import type { TextTensors } from './passes.ts';
import {
  embedQueries,
  embedText,
  normalizeImage,
  type QFormerInputParams,
  type QFormerLayerParams,
  type QFormerParams,
  sliceRows,
} from './qformer.ts';
import { type QFormerConfig, qformerConfigFromJson, type QFormerConfigOptions } from './qformer-config.ts';
import { describeQFormer, isQFormerWeight } from './qformer-weights.ts';
import { textTensors } from './text-input.ts';

/**
 * Makes a Q-Former from a configuration and weights. Blocks that find no room in the budget stream: their weights are
 * read for each call.
 *
 * @param weights - Read from for as long as the Q-Former streams. Weights of other parts are left alone.
 * @param options.budget - Shared with the model's other parts. @default what the backend can hold
 * @returns a Q-Former that owns its tensors; `dispose()` it. On error or abort nothing stays behind.
 * @throws {WeightsError} when weights are missing, left over or have other shapes.
 *
 * @example
 * using qformer = await createQFormer(checkpoint.weights, QFORMER_MATCHING);
 */
export async function createQFormer(
  weights: WeightSource,
  config: QFormerConfig,
  options: PlacementOptions & RunOptions = {},
): Promise<LoadedQFormer> {
  options.abortSignal?.throwIfAborted();
  const reader = new WeightReader(weights, PART);
  const described = describeQFormer(reader, config);
  reader.finish(isQFormerWeight);
  const qformer = new BlockwiseQFormer(described, config, options.budget ?? new WeightBudget());
  await qformer.load(options);
  return qformer;
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
  options: PlacementOptions & RunOptions & Pick<QFormerConfigOptions, 'imageNormEpsilon'> = {},
): Promise<LoadedQFormer> {
  const { weights } = checkpoint;
  const parse = (json: unknown): QFormerConfig => qformerConfigFromJson(json, { ...options, weights });
  return createQFormer(weights, await readCheckpointConfig(checkpoint, parse, options), options);
}

const PART = 'Q-Former';

/** What a pass reads: an image, a text, or both. */
interface PassInputs {
  readonly imageFeatures?: Tensor3D;
  readonly text?: TokenBatch;
}

class BlockwiseQFormer implements LoadedQFormer {
  readonly config: QFormerConfig;
  readonly startCaptioning?: LoadedQFormer['startCaptioning'];
  readonly #blocks: QFormerBlocks;
  readonly #heads: ParameterBlock<QFormerHeadParams>;
  #disposed = false;

  constructor(described: Described<QFormerParams>, config: QFormerConfig, budget: WeightBudget) {
    this.config = config;
    this.#heads = new ParameterBlock<QFormerHeadParams>(`${PART}, heads`, described.heads, budget);
    const { text } = described;
    this.#blocks = {
      inputs: new ParameterBlock<QFormerInputParams>(`${PART}, inputs`, described.inputs, budget),
      layers: described.layers.map((layer, i) => new ParameterBlock<QFormerLayerParams>(`${PART}, layer ${i}`, layer, budget)),
      ...(text && { text: new ParameterBlock<QFormerTextParams>(`${PART}, text`, text, budget) }),
    };
    if (config.hasCaptionHead) {
      this.startCaptioning = (imageFeatures, options) => this.#startCaptioning(imageFeatures, options);
    }
  }

  load(options: RunOptions): Promise<void> {
    return loadBlocks(this.#allBlocks(), PART, options);
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
    const pass = await this.#run('encodeQueries', { imageFeatures, text }, wanted, options);
    const queries = this.#queryRows(pass.output); // [batch, queries, width]
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
    return this.#withHead('match', 'matching', 'matching head', options, async (head) => {
      const pass = await this.#run('match', { imageFeatures, text }, {}, options);
      const queries = this.#queryRows(pass.output); // [batch, queries, width]
      try {
        return matchingLogits(head, queries); // [batch, 2]
      } finally {
        queries.dispose();
      }
    });
  }

  async projectToPrompt(queries: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    assertShape(
      queries,
      ['batch', 'queries', this.config.width],
      'projectToPrompt: queries',
      'Pass the output of encodeQueries.',
    );
    return this.#withHead(
      'projectToPrompt',
      'promptProjection',
      'projection to a language model',
      options,
      (head) => linear(head, queries), // [batch, queries, promptWidth]
    );
  }

  async projectImage(queries: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    assertShape(queries, ['batch', 'queries', this.config.width], 'projectImage: queries', 'Pass the output of encodeQueries.');
    return this.#withHead(
      'projectImage',
      'imageProjection',
      'contrastive projections',
      options,
      (head) => projectContrastive(head, queries), // [batch, queries, contrastiveWidth]
    );
  }

  async projectText(text: Tensor3D, options: RunOptions = {}): Promise<Tensor3D> {
    assertShape(text, ['batch', 'tokens', this.config.width], 'projectText: text', 'Pass the output of encodeText.');
    return this.#withHead(
      'projectText',
      'textProjection',
      'contrastive projections',
      options,
      (head) => projectContrastive(head, text), // [batch, tokens, contrastiveWidth]
    );
  }

  async readTemperature(options: RunOptions = {}): Promise<number | undefined> {
    this.#assertAlive();
    return this.#heads.use(async ({ temperature }) => (await temperature?.data())?.[0], options);
  }

  dispose(): void {
    this.#disposed = true;
    for (const block of this.#allBlocks()) block.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #allBlocks(): ParameterBlock<unknown>[] {
    const { inputs, layers, text } = this.#blocks;
    return [inputs, ...(text ? [text] : []), ...layers, this.#heads] as ParameterBlock<unknown>[];
  }

  async #startCaptioning(imageFeatures: Tensor3D, options: CaptioningOptions = {}): Promise<DecodingSession> {
    this.#assertAlive();
    this.#assertImage('startCaptioning', imageFeatures);
    const { inputs, text, layers } = this.#blocks;
    return withTensorScope(async (scope) => {
      const image = scope.own(await inputs.use((params) => normalizeImage(params, this.config, imageFeatures), options)); // [batch, tokens, imageFeatureWidth]
      return CaptioningSession.begin({ inputs, text: text!, layers }, this.config, image, options);
    });
  }

  /** One pass through all layers. @returns tensors that are the caller's. */
  async #run(
    where: string,
    { imageFeatures, text }: PassInputs,
    wanted: { readonly layers?: boolean; readonly attention?: boolean },
    options: RunOptions,
  ): Promise<BlockwisePass> {
    this.#assertAlive();
    if (imageFeatures !== undefined) this.#assertImage(where, imageFeatures);
    if (text !== undefined) this.#assertReadsText(where, text, imageFeatures);
    return withTensorScope(async (scope) => {
      const tokens = text && textTensors(text, this.config, `${where}: text`);
      if (tokens !== undefined) [tokens.ids, tokens.mask].map((tensor) => scope.own(tensor));
      const embedded = await this.#embed(imageFeatures, tokens, options);
      for (const tensor of Object.values(embedded)) if (tensor !== undefined) scope.own(tensor);
      const { rows, image, mask } = embedded;
      const queryRows = image === undefined ? 0 : this.config.queries;
      return runLayerBlocks(this.#blocks, this.config, rows, { queryRows, image, mask }, wanted, options);
    });
  }

  /** Everything that the layers take: normalised rows, queries before text; the normalised image; the mask. */
  #embed(
    imageFeatures: Tensor3D | undefined,
    tokens: TextTensors | undefined,
    options: RunOptions,
  ): Promise<{ rows: Tensor3D; image?: Tensor3D; mask?: Tensor4D }> {
    const { config } = this;
    const { inputs, text } = this.#blocks;
    const compute = (inputParams: QFormerInputParams, textParams?: QFormerTextParams) =>
      tidy(() => {
        const rows: Tensor3D[] = [];
        if (imageFeatures) rows.push(embedQueries(inputParams, config, (tokens?.ids ?? imageFeatures).shape[0])); // [batch, queries, width]
        if (tokens && textParams) rows.push(embedText(inputParams, textParams, config, tokens.ids)); // [batch, tokens, width]
        const both = imageFeatures !== undefined && tokens !== undefined;
        return {
          rows: tf.concat(rows, 1), // [batch, queries + tokens, width]
          image: imageFeatures && normalizeImage(inputParams, config, imageFeatures), // [batch, tokens, imageFeatureWidth]
          mask: both ? jointMask('bidirectional', tokens.mask, config.queries) : tokens && textOnlyMask(tokens.mask), // [batch, 1, 1, queries + tokens]
        };
      });
    if (tokens === undefined || text === undefined) return this.#blocks.inputs.use((params) => compute(params), options);
    return inputs.use((params) => text.use((textParams) => compute(params, textParams), options), options);
  }

  /** The query rows of a pass, `[batch, queries, width]`; takes over the pass's output. */
  #queryRows(output: Tensor3D): Tensor3D {
    const queries = sliceRows(output, 0, this.config.queries); // [batch, queries, width]
    if (queries !== output) output.dispose();
    return queries;
  }

  async #withHead<Name extends keyof QFormerHeadParams, Result>(
    where: string,
    name: Name,
    what: string,
    options: RunOptions,
    compute: (head: NonNullable<QFormerHeadParams[Name]>) => Result | Promise<Result>,
  ): Promise<Result> {
    this.#assertAlive();
    const has = (this.#heads.described as Partial<Record<keyof QFormerHeadParams, unknown>>)[name] !== undefined;
    if (!has) throw new ConfigError(`${where}: this Q-Former has no ${what}. Load ${CURES[name]}.`);
    return this.#heads.use((heads) => compute(heads[name]!), options);
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
    if (this.#blocks.text === undefined) {
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
