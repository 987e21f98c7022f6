import {
  type Described,
  loadBlocks,
  ParameterBlock,
  runBlocks,
  type RunOptions,
  type TensorScope,
  tidy,
  type WeightBudget,
  withTensorScope,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import {
  embedImages,
  visionBlock,
  type VisionBlockParams,
  type VisionEmbeddingParams,
  type VisionTransformerParams,
} from './vision-transformer.ts';
import type { VisionTransformerConfig } from './vision-transformer-config.ts';

/** For messages and progress. */
export const PART = 'vision encoder';

/** What runs an encoder's layers: it holds the weights and is given images that were checked. All tensors returned are the caller's. */
export interface VisionRunner {
  /** Reads what must be there before the first call. On error or abort nothing stays behind. */
  load(options: RunOptions): Promise<void>;
  /**
   * @param images - `[batch, imageHeight, imageWidth, 3]`; kept.
   * @param positions - The table of another grid than the encoder's own, `[1 + rows·columns, width]`, row-major; kept.
   * @returns `[batch, tokens, width]`
   */
  run(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D>;
  /** Like `run`. @returns the tokens before the first block and after each, each `[batch, tokens, width]` */
  runLayers(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D[]>;
  dispose(): void;
}

/** Runs the layers with tfjs, block by block: blocks that find no room in the budget stream. */
export class BlockwiseRunner implements VisionRunner {
  readonly #config: VisionTransformerConfig;
  readonly #embeddings: ParameterBlock<VisionEmbeddingParams>;
  readonly #blocks: readonly ParameterBlock<VisionBlockParams>[];

  constructor(described: Described<VisionTransformerParams>, config: VisionTransformerConfig, budget: WeightBudget) {
    this.#config = config;
    this.#embeddings = new ParameterBlock<VisionEmbeddingParams>(`${PART}, embeddings`, described.embeddings, budget);
    this.#blocks = described.blocks.map(
      (block, index) => new ParameterBlock<VisionBlockParams>(`${PART}, block ${index}`, block, budget),
    );
  }

  load(options: RunOptions): Promise<void> {
    return loadBlocks([this.#embeddings, ...this.#blocks], PART, options);
  }

  run(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D> {
    return withTensorScope((scope) => this.#run(scope, images, positions, options, () => undefined));
  }

  runLayers(images: Tensor4D, positions: Float32Array | undefined, options: RunOptions): Promise<Tensor3D[]> {
    return withTensorScope(async (scope) => {
      const layers: Tensor3D[] = [];
      const keep = (hidden: Tensor3D): unknown => layers.push(scope.own(tf.keep(tf.clone(hidden)))); // [batch, tokens, width]
      const features = await this.#run(scope, images, positions, options, keep);
      for (const layer of layers) scope.release(layer);
      return [...layers, features];
    });
  }

  dispose(): void {
    this.#embeddings.dispose();
    for (const block of this.#blocks) block.dispose();
  }

  /** @param see - Is shown what goes into each block. @returns `[batch, tokens, width]` */
  async #run(
    scope: TensorScope,
    images: Tensor4D,
    positions: Float32Array | undefined,
    options: RunOptions,
    see: (hidden: Tensor3D) => unknown,
  ): Promise<Tensor3D> {
    const tokens = scope.own(await this.#embed(images, positions, options)); // [batch, tokens, width]
    return runBlocks(
      this.#blocks,
      tokens,
      (params, hidden) => {
        see(hidden);
        return visionBlock(params, this.#config, hidden); // [batch, tokens, width]
      },
      options,
    );
  }

  /** @returns `[batch, tokens, width]` */
  #embed(images: Tensor4D, table: Float32Array | undefined, options: RunOptions): Promise<Tensor3D> {
    const { width } = this.#config;
    return this.#embeddings.use(
      (params) =>
        tidy(() => {
          const positions =
            table === undefined ? params.positions : (tf.tensor(table, [table.length / width, width]) as Tensor2D); // [tokens, width]
          return embedImages({ ...params, positions }, this.#config, images); // [batch, tokens, width]
        }),
      options,
    );
  }
}
