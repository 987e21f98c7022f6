import {
  type Described,
  type Engine,
  EngineFunction,
  type EngineInputs,
  graphIdentity,
  type HostTensor,
  type InputSpecs,
  prepareFunctions,
  type RunOptions,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { PART, type VisionRunner } from './blockwise-runner.ts';
import { calibrationImages } from './calibration-images.ts';
import {
  embedImages,
  visionBlock,
  type VisionBlockParams,
  type VisionEmbeddingParams,
  type VisionTransformerParams,
} from './vision-transformer.ts';
import type { VisionTransformerConfig } from './vision-transformer-config.ts';

/** Raise it when a function of this package computes something else, or by other operations: engines keep what they prepared. */
const GRAPH_VERSION = 1;

/** The encoder's weights without positions, which are an input: one graph serves images of every size. */
interface GraphParams {
  readonly embeddings: Omit<VisionEmbeddingParams, 'positions'>;
  readonly blocks: readonly VisionBlockParams[];
}

interface GraphInputs {
  readonly images: Tensor4D; //                 [batch, patchSize·rows, patchSize·columns, 3]
  readonly positions: Tensor2D; //              [1 + rows·columns, width]
}

/** Runs the layers on an {@link Engine}, all in one function. */
export class EngineRunner implements VisionRunner {
  readonly #described: Described<VisionTransformerParams>;
  readonly #config: VisionTransformerConfig;
  readonly #features: EngineFunction<GraphParams, GraphInputs, Tensor3D>;
  /** Prepared when layers are first asked for. */
  readonly #layers: EngineFunction<GraphParams, GraphInputs, Tensor3D[]>;
  /** The encoder's own table of positions. */
  #positions: Float32Array = new Float32Array(0);

  /** @param samples - Typical images of the encoder's own size, normalised, for engines that measure. @default made-up ones */
  constructor(
    described: Described<VisionTransformerParams>,
    config: VisionTransformerConfig,
    engine: Engine,
    samples?: HostTensor,
  ) {
    this.#described = described;
    this.#config = config;
    const { imageSize, patchSize } = config;
    const wholeSize = imageSize - (imageSize % patchSize);
    const sampleInputs = (): Promise<EngineInputs<GraphInputs>> => {
      const images = samples ?? calibrationImages(wholeSize); // [batch, patchSize·rows, patchSize·columns, 3]
      return Promise.resolve({ images, positions: this.#hostPositions(this.#positions) });
    };
    this.#features = encoderFunction(engine, described, config, sampleInputs, 'features', (layers) => layers.at(-1)!);
    this.#layers = encoderFunction(engine, described, config, sampleInputs, 'layers', (layers) => layers);
  }

  async load(options: RunOptions): Promise<void> {
    this.#positions = Float32Array.from(await this.#described.embeddings.positions.read(options));
    await prepareFunctions([this.#features], PART, options);
  }

  run(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D> {
    return this.#run(this.#features, images, positions, options);
  }

  runLayers(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D[]> {
    return this.#run(this.#layers, images, positions, options);
  }

  dispose(): void {
    this.#features.dispose();
    this.#layers.dispose();
  }

  async #run<Outputs>(
    prepared: EngineFunction<GraphParams, GraphInputs, Outputs>,
    images: Tensor4D,
    table: Float32Array = this.#positions,
    options: RunOptions,
  ): Promise<Outputs> {
    const whole = cropToPatches(images, this.#config.patchSize);
    try {
      return await prepared.runToTensors({ images: whole, positions: this.#hostPositions(table) }, options);
    } finally {
      if (whole !== images) whole.dispose();
    }
  }

  #hostPositions(table: Float32Array): HostTensor {
    const { width } = this.#config;
    return { shape: [table.length / width, width], data: table }; // [tokens, width]
  }
}

/** A function over all layers; `pick` says what of them is wanted, and an engine computes nothing else. */
function encoderFunction<Outputs>(
  engine: Engine,
  { embeddings: { patch, classToken, preNorm }, blocks }: Described<VisionTransformerParams>,
  config: VisionTransformerConfig,
  samples: () => Promise<EngineInputs<GraphInputs>>,
  name: string,
  pick: (layers: Tensor3D[]) => Outputs,
): EngineFunction<GraphParams, GraphInputs, Outputs> {
  const { patchSize, width } = config;
  const inputs: InputSpecs<GraphInputs> = {
    images: { shape: ['batch', `${patchSize} * rows`, `${patchSize} * columns`, 3] },
    positions: { shape: ['1 + rows * columns', width] },
  };
  return new EngineFunction<GraphParams, GraphInputs, Outputs>(
    engine,
    (params, { images, positions }) => pick(allLayers(params, config, images, positions)),
    {
      name: PART,
      params: { embeddings: { patch, classToken, ...(preNorm && { preNorm }) }, blocks },
      inputs,
      identity: graphIdentity({ package: '@blip2/vision-encoder', version: GRAPH_VERSION, name, config }),
      quantize: 'many-rows',
      samples,
    },
  );
}

/** `visionTransformer` with the tokens before and after every block: `layers + 1` times `[batch, tokens, width]`. */
function allLayers(params: GraphParams, config: VisionTransformerConfig, images: Tensor4D, positions: Tensor2D): Tensor3D[] {
  const layers = [embedImages({ ...params.embeddings, positions }, config, images)]; // [batch, tokens, width]
  for (const block of params.blocks) layers.push(visionBlock(block, config, layers.at(-1)!)); // [batch, tokens, width]
  return layers;
}

/** Leaves out the pixels right of and below the last whole patch; images of whole patches are given back as they are. */
export function cropToPatches(images: Tensor4D, patchSize: number): Tensor4D {
  const [, imageHeight, imageWidth] = images.shape;
  const [height, width] = [imageHeight - (imageHeight % patchSize), imageWidth - (imageWidth % patchSize)];
  if (height === imageHeight && width === imageWidth) return images;
  return tf.slice(images, [0, 0, 0, 0], [-1, height, width, -1]); // [batch, height, width, 3]
}
