import {
  assertShape,
  type Checkpoint,
  type Described,
  DisposedError,
  type EngineOptions,
  type HostTensor,
  InputError,
  type PlacementOptions,
  readCheckpointConfig,
  type RunOptions,
  ShapeError,
  type VisionEncoder,
  WeightBudget,
  WeightReader,
  type WeightSource,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { BlockwiseRunner, PART, type VisionRunner } from './blockwise-runner.ts';
import { cropToPatches, EngineRunner } from './engine-runner.ts';
import { interpolatePositions, type PatchGrid } from './position-interpolation.ts';
import type { VisionTransformerParams } from './vision-transformer.ts';
import { visionConfigFromJson, type VisionConfigOptions, type VisionTransformerConfig } from './vision-transformer-config.ts';
import { describeVisionTransformer, isVisionWeight } from './vision-transformer-weights.ts';

/** What {@link VisionTransformerEncoder.encode} accepts. */
export interface EncodeOptions extends RunOptions {
  /** Fits the learned positions to images of another size than the encoder was made for. @default false */
  readonly interpolatePositions?: boolean;
  /** Also return the tokens before and after every block. @default false */
  readonly returnLayers?: boolean;
}

/** What an encoder is made with besides weights and configuration. */
export interface VisionEncoderOptions extends PlacementOptions, EngineOptions, RunOptions {
  /**
   * Photographs of the kind that the encoder will see, preprocessed, `[batch, imageSize, imageSize, 3]`: an engine that quantises weights measures with them
   * how precise each product has to be. A few are enough. Read when the encoder is made; the caller's.
   * @default made-up images: {@link calibrationImages}
   */
  readonly calibrationImages?: Tensor4D;
}

/** Features of every layer. All tensors are the caller's. */
export interface LayerFeatures {
  /** The encoder's output, `[batch, tokens, width]`. */
  readonly features: Tensor3D;
  /** `layers[0]` are the embedded patches, `layers[i]` is the output of block `i − 1`; each `[batch, tokens, width]`. */
  readonly layers: readonly Tensor3D[];
}

/** A Vision Transformer that holds its weights. */
export interface VisionTransformerEncoder extends VisionEncoder {
  readonly config: VisionTransformerConfig;
  /**
   * Encodes images.
   *
   * @param images - float32 `[batch, imageHeight, imageWidth, 3]`, normalised; kept.
   * @returns `[batch, tokens, width]`, the class token first, before any final norm; the caller's. With `returnLayers`
   *   the features of every layer.
   * @throws {ShapeError} for images of another size, unless positions are interpolated. @throws {DisposedError}
   *
   * @example
   * const features = await encoder.encode(images); // [1, 257, 1408]
   * const { layers } = await encoder.encode(images, { returnLayers: true }); // 40 of them
   */
  encode(images: Tensor4D, options?: EncodeOptions & { readonly returnLayers?: false }): Promise<Tensor3D>;
  encode(images: Tensor4D, options: EncodeOptions & { readonly returnLayers: true }): Promise<LayerFeatures>;
}

/**
 * Makes an encoder from a configuration and weights. Without an engine, blocks that find no room in the budget stream: their
 * weights are read for each call. An engine runs all blocks as one function, which is prepared here; the one for
 * `returnLayers` is prepared when it is first used.
 *
 * @param weights - Read from for as long as the encoder lives. Weights of other parts are left alone.
 * @param options.budget - Shared with the model's other parts; an engine does not need it. @default what the backend can hold
 * @param options.engine - Stays the caller's. @default none: tfjs operations on the current backend
 * @returns an encoder that owns its tensors; `dispose()` it. On error or abort nothing stays behind.
 * @throws {WeightsError} when weights are missing, left over or have other shapes.
 *
 * @example
 * using encoder = await createVisionEncoder(checkpoint.weights, EVA_VIT_G);
 */
export async function createVisionEncoder(
  weights: WeightSource,
  config: VisionTransformerConfig,
  options: VisionEncoderOptions = {},
): Promise<VisionTransformerEncoder> {
  options.abortSignal?.throwIfAborted();
  const reader = new WeightReader(weights, PART);
  const described = describeVisionTransformer(reader, config);
  reader.finish(isVisionWeight);
  const runner =
    options.engine === undefined
      ? new BlockwiseRunner(described, config, options.budget ?? new WeightBudget())
      : new EngineRunner(described, config, options.engine, await readSamples(config, options));
  await runner.load(options);
  return new LoadedEncoder(described, config, runner);
}

/**
 * Loads the image encoder of a checkpoint: of BLIP-2, of CLIP, or a CLIP vision model alone.
 *
 * @param checkpoint - With `config.json`; stays the caller's, and open while the encoder streams.
 * @param options.layers - How many blocks run. @default all for EVA; all but the last for CLIP, as BLIP-2 uses it
 * @returns an encoder, the caller's to dispose.
 * @throws {ConfigError} for the configuration of another kind of model. @throws {WeightsError} for weights that do not fit it.
 *
 * @example
 * using encoder = await loadVisionEncoder(await openCheckpointFolder('models/blip2-opt-2.7b'));
 * const features = await encoder.encode(images);
 */
export async function loadVisionEncoder(
  checkpoint: Checkpoint,
  options: VisionEncoderOptions & VisionConfigOptions = {},
): Promise<VisionTransformerEncoder> {
  const config = await readCheckpointConfig(checkpoint, (json) => visionConfigFromJson(json, options), options);
  return createVisionEncoder(checkpoint.weights, config, options);
}

/** Images to measure with, cut to whole patches. */
async function readSamples(
  { imageSize, patchSize }: VisionTransformerConfig,
  { calibrationImages: images }: VisionEncoderOptions,
): Promise<HostTensor | undefined> {
  if (images === undefined) return undefined;
  const cure = 'Preprocess them as the images that will be encoded.';
  assertShape(images, ['batch', imageSize, imageSize, 3], 'createVisionEncoder: calibrationImages', cure);
  const whole = cropToPatches(images, patchSize);
  try {
    return { shape: whole.shape, data: (await whole.data()).slice() };
  } finally {
    if (whole !== images) whole.dispose();
  }
}

/** Position tables of other image sizes that are kept. */
const KEPT_TABLES = 4;

/** Checks images, fits positions to them, and leaves the layers to a runner. */
class LoadedEncoder implements VisionTransformerEncoder {
  readonly config: VisionTransformerConfig;
  readonly #described: Described<VisionTransformerParams>;
  readonly #runner: VisionRunner;
  /** Interpolated position tables by grid, the most recently used last. */
  readonly #tables: Map<string, Float32Array> = new Map();
  #disposed = false;

  constructor(described: Described<VisionTransformerParams>, config: VisionTransformerConfig, runner: VisionRunner) {
    this.config = config;
    this.#described = described;
    this.#runner = runner;
  }

  encode(images: Tensor4D, options?: EncodeOptions & { readonly returnLayers?: false }): Promise<Tensor3D>;
  encode(images: Tensor4D, options: EncodeOptions & { readonly returnLayers: true }): Promise<LayerFeatures>;
  async encode(images: Tensor4D, options: EncodeOptions = {}): Promise<Tensor3D | LayerFeatures> {
    if (this.#disposed) throw new DisposedError(PART);
    const grid = this.#gridOf(images, options);
    const positions = await this.#positionsOf(grid, options);
    if (!options.returnLayers) return this.#runner.run(images, positions, options); // [batch, tokens, width]
    const layers = await this.#runner.runLayers(images, positions, options);
    // The last layer as a tensor of its own, so that each may be disposed alone.
    return { features: tf.clone(layers.at(-1)!), layers };
  }

  dispose(): void {
    this.#disposed = true;
    this.#runner.dispose();
    this.#tables.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The position table of another grid; `undefined` for the encoder's own. */
  async #positionsOf(grid: PatchGrid, options: RunOptions): Promise<Float32Array | undefined> {
    const own = this.#ownGrid();
    if (grid.rows === own.rows && grid.columns === own.columns) return undefined;
    const key = `${grid.rows}×${grid.columns}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      const learned = await this.#described.embeddings.positions.read(options);
      table = interpolatePositions(Float32Array.from(learned), own, grid, this.config);
    }
    this.#tables.delete(key);
    this.#tables.set(key, table);
    const oldest = this.#tables.keys().next();
    if (this.#tables.size > KEPT_TABLES && !oldest.done) this.#tables.delete(oldest.value);
    return table;
  }

  #ownGrid(): PatchGrid {
    const side = Math.floor(this.config.imageSize / this.config.patchSize);
    return { rows: side, columns: side };
  }

  /** Checks images at the boundary. */
  #gridOf(images: Tensor4D, options: EncodeOptions): PatchGrid {
    const { imageSize, patchSize } = this.config;
    const where = 'encode: images';
    assertShape(images, ['batch', 'imageHeight', 'imageWidth', 3], where, 'Channels come last; pass a batch of RGB images.');
    if (images.dtype !== 'float32') {
      throw new InputError(
        `${where} are ${images.dtype}, expected float32 numbers, normalised with the checkpoint's mean and standard deviation. Preprocess them first.`,
      );
    }
    const [batch, imageHeight, imageWidth] = images.shape;
    if (batch === 0) throw new InputError(`${where} is an empty batch, expected at least one image. Leave the call out.`);
    const grid = { rows: Math.floor(imageHeight / patchSize), columns: Math.floor(imageWidth / patchSize) };
    const expected = ['batch', imageSize, imageSize, 3];
    if (grid.rows === 0 || grid.columns === 0) {
      const cure = `Resize them to ${imageSize}×${imageSize}.`;
      throw new ShapeError(
        `${where} are ${imageHeight}×${imageWidth} pixels, smaller than one patch of ${patchSize}×${patchSize}. ${cure}`,
        images.shape,
        expected,
      );
    }
    if (options.interpolatePositions || (imageHeight === imageSize && imageWidth === imageSize)) return grid;
    throw new ShapeError(
      `${where} are ${imageHeight}×${imageWidth} pixels, expected ${imageSize}×${imageSize}, the size this encoder was trained on. ` +
        `Resize them, or pass { interpolatePositions: true } to fit its positions to their size.`,
      images.shape,
      expected,
    );
  }
}
