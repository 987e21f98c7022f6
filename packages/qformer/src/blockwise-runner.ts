import {
  type Described,
  linear,
  loadBlocks,
  ParameterBlock,
  type RunOptions,
  type TensorScope,
  tidy,
  type TokenBatch,
  type WeightBudget,
  withTensorScope,
} from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { jointMask, textOnlyMask } from './attention-masks.ts';
import { captionLogits, matchingLogits, projectContrastive, type QFormerHeadParams, type QFormerTextParams } from './heads.ts';
import { disposeKeyValues, type QFormerBlocks, runLayerBlocks } from './layer-blocks.ts';
import type { TextTensors } from './passes.ts';
import {
  embedQueries,
  embedText,
  type KeyValues,
  normalizeImage,
  type QFormerInputParams,
  type QFormerLayerParams,
  type QFormerParams,
  sliceRows,
} from './qformer.ts';
import type { QFormerConfig } from './qformer-config.ts';
import {
  type CaptionCache,
  PART,
  type PassInputs,
  type PassOutputs,
  type ProjectionName,
  type QFormerRunner,
  type WantedOutputs,
} from './qformer-runner.ts';
import { uncheckedTextTensors } from './text-input.ts';

/** Runs the layers with tfjs, block by block: blocks that find no room in the budget stream. */
export class BlockwiseRunner implements QFormerRunner {
  readonly #config: QFormerConfig;
  readonly #blocks: QFormerBlocks;
  readonly #heads: ParameterBlock<QFormerHeadParams>;

  constructor(described: Described<QFormerParams>, config: QFormerConfig, budget: WeightBudget) {
    this.#config = config;
    this.#heads = new ParameterBlock<QFormerHeadParams>(`${PART}, heads`, described.heads, budget);
    const { text } = described;
    this.#blocks = {
      inputs: new ParameterBlock<QFormerInputParams>(`${PART}, inputs`, described.inputs, budget),
      layers: described.layers.map((layer, i) => new ParameterBlock<QFormerLayerParams>(`${PART}, layer ${i}`, layer, budget)),
      ...(text && { text: new ParameterBlock<QFormerTextParams>(`${PART}, text`, text, budget) }),
    };
  }

  load(options: RunOptions): Promise<void> {
    return loadBlocks(this.#allBlocks(), PART, options);
  }

  runPass({ imageFeatures, text }: PassInputs, wanted: WantedOutputs, options: RunOptions): Promise<PassOutputs> {
    return withTensorScope(async (scope) => {
      const tokens = text && ownAll(scope, uncheckedTextTensors(text));
      const { rows, image, mask } = ownAll(scope, await this.#embed(imageFeatures, tokens, options));
      const queryRows = image === undefined ? 0 : this.#config.queries;
      const pass = await runLayerBlocks(this.#blocks, this.#config, rows, { queryRows, image, mask }, wanted, options);
      if (image === undefined) return pass;
      const queries = sliceRows(pass.output, 0, queryRows); // [batch, queries, width]
      if (queries !== pass.output) pass.output.dispose();
      return { ...pass, output: queries };
    });
  }

  match(imageFeatures: Tensor3D, text: TokenBatch, options: RunOptions): Promise<Tensor2D> {
    return this.#heads.use(async ({ matching }) => {
      const { output: queries } = await this.runPass({ imageFeatures, text }, {}, options); // [batch, queries, width]
      try {
        return matchingLogits(matching!, queries); // [batch, 2]
      } finally {
        queries.dispose();
      }
    }, options);
  }

  project(name: ProjectionName, rows: Tensor3D, options: RunOptions): Promise<Tensor3D> {
    const compute = name === 'promptProjection' ? linear<Tensor3D> : projectContrastive;
    return this.#heads.use((heads) => compute(heads[name]!, rows), options); // [batch, rows, …]
  }

  startCaptions(imageFeatures: Tensor3D, options: RunOptions): Promise<CaptionCache> {
    const { config, inputs } = { config: this.#config, inputs: this.#blocks.inputs };
    return withTensorScope(async (scope) => {
      const { queries, image } = ownAll(
        scope,
        await inputs.use(
          (params) =>
            tidy(() => ({
              queries: embedQueries(params, config, imageFeatures.shape[0]), // [batch, queries, width]
              image: normalizeImage(params, config, imageFeatures), // [batch, tokens, imageFeatureWidth]
            })),
          options,
        ),
      );
      const context = { queryRows: config.queries, image };
      const pass = await runLayerBlocks(this.#blocks, config, queries, context, { keyValues: true }, options);
      pass.output.dispose();
      return new BlockwiseCaptionCache(this.#blocks, config, pass.keyValues);
    });
  }

  dispose(): void {
    for (const block of this.#allBlocks()) block.dispose();
  }

  #allBlocks(): ParameterBlock<unknown>[] {
    const { inputs, layers, text } = this.#blocks;
    return [inputs, ...(text ? [text] : []), ...layers, this.#heads] as ParameterBlock<unknown>[];
  }

  /** Everything that the layers take: normalised rows, queries before text; the normalised image; the mask. */
  #embed(
    imageFeatures: Tensor3D | undefined,
    tokens: TextTensors | undefined,
    options: RunOptions,
  ): Promise<{ rows: Tensor3D; image?: Tensor3D; mask?: Tensor4D }> {
    const config = this.#config;
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
    if (tokens === undefined || text === undefined) return inputs.use((params) => compute(params), options);
    return inputs.use((params) => text.use((textParams) => compute(params, textParams), options), options);
  }
}

class BlockwiseCaptionCache implements CaptionCache {
  readonly #blocks: QFormerBlocks;
  readonly #config: QFormerConfig;
  /** Of queries and text so far, for each layer. */
  #keyValues: readonly KeyValues[];

  constructor(blocks: QFormerBlocks, config: QFormerConfig, keyValues: readonly KeyValues[]) {
    this.#blocks = blocks;
    this.#config = config;
    this.#keyValues = keyValues;
  }

  read(tokenIds: readonly number[], position: number, options: RunOptions): Promise<Tensor2D> {
    const config = this.#config;
    const { inputs, text } = this.#blocks;
    return withTensorScope(async (scope) => {
      const ids = scope.own(tf.tensor2d(tokenIds.slice(), [tokenIds.length, 1], 'int32')); // [rows, 1]
      const positions = scope.own(tf.tensor1d([position], 'int32')); // [1]
      const embed = (params: QFormerInputParams): Promise<Tensor3D> =>
        text!.use((textParams) => embedText(params, textParams, config, ids, positions), options);
      const embedded = scope.own(await inputs.use(embed, options)); // [rows, 1, width]
      // Every row sees all that stands before it: no mask.
      const context = { queryRows: 0, past: this.#keyValues };
      const pass = await runLayerBlocks(this.#blocks, config, embedded, context, { keyValues: true }, options);
      scope.own(pass.output); // [rows, 1, width]
      try {
        const logits = await text!.use(
          ({ captionHead }) => tidy(() => tf.squeeze<Tensor2D>(captionLogits(captionHead!, config, pass.output), [1])), // [rows, vocab]
          options,
        );
        this.#replace(pass.keyValues);
        return logits;
      } catch (cause) {
        disposeKeyValues(pass.keyValues);
        throw cause;
      }
    });
  }

  reorder(rows: readonly number[]): void {
    const reordered = tidy(() => {
      const index = tf.tensor1d(rows.slice(), 'int32'); // [new rows]
      return this.#keyValues.map(({ keys, values }) => ({ keys: tf.gather(keys, index), values: tf.gather(values, index) })); // [new rows, heads, queries + position, headWidth]
    });
    this.#replace(reordered);
  }

  dispose(): void {
    this.#replace([]);
  }

  #replace(keyValues: readonly KeyValues[]): void {
    disposeKeyValues(this.#keyValues);
    this.#keyValues = keyValues;
  }
}

/** Gives all tensors of an object to a scope. */
function ownAll<Tensors extends object>(scope: TensorScope, tensors: Tensors): Tensors {
  for (const tensor of Object.values(tensors)) if (tensor instanceof tf.Tensor) scope.own(tensor);
  return tensors;
}
