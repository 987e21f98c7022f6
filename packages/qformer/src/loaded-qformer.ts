import type { DecodingSession, QFormer, RunOptions, TokenBatch } from '@blip2/core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { CaptioningOptions } from './captioning-session.ts';
import type { QFormerConfig } from './qformer-config.ts';

/** What {@link LoadedQFormer.encodeQueries} accepts. */
export interface EncodeQueriesOptions extends RunOptions {
  /** Text that the queries may also see: a question, or a caption for multimodal features. One for each image, or many for one image. */
  readonly text?: TokenBatch;
  /** Also return the rows before and after every layer. @default false */
  readonly returnLayers?: boolean;
  /** Also return where the queries looked: the cross-attention probabilities. @default false */
  readonly returnAttention?: boolean;
}

/** Hidden states of every layer. */
export interface WithLayers {
  /** `[0]` are the normalised embeddings, `[i]` is the output of layer `i − 1`; each `[batch, rows, width]`, queries before text. */
  readonly layers: readonly Tensor3D[];
}

/** Cross-attention of every layer that has it. */
export interface WithAttention {
  /** Probabilities over the image's tokens, one map for each cross-attention layer, in order: `[batch, heads, queries, tokens]`. */
  readonly attention: readonly Tensor4D[];
}

/** The result of {@link LoadedQFormer.encodeQueries} when more than the queries was asked for. All tensors are the caller's. */
export type EncodedQueries<Options> = { readonly queries: Tensor3D } & (Options extends { readonly returnLayers: true }
  ? WithLayers
  : unknown) &
  (Options extends { readonly returnAttention: true } ? WithAttention : unknown);

/** A Q-Former that holds its weights. */
export interface LoadedQFormer extends QFormer {
  readonly config: QFormerConfig;
  /**
   * What the queries read from the image, and from a text if there is one.
   *
   * @param imageFeatures - `[batch, tokens, imageFeatureWidth]`, as a vision encoder gives them (before `ln_vision`); kept.
   * @param options.text - One text for each image, or many for one image, which is then read once.
   * @returns `[batch, queries, width]`, the caller's; with `returnLayers` or `returnAttention` an object of tensors.
   * @throws {ShapeError} for features of another encoder. @throws {InputError} for a text that does not fit.
   * @throws {ConfigError} for text given to a Q-Former without a text branch.
   *
   * @example
   * const queries = await qformer.encodeQueries(features); // [1, 32, 768]
   * const { attention } = await qformer.encodeQueries(features, { returnAttention: true }); // 6 × [1, 12, 32, 257]
   */
  encodeQueries(
    imageFeatures: Tensor3D,
    options?: EncodeQueriesOptions & { readonly returnLayers?: false; readonly returnAttention?: false },
  ): Promise<Tensor3D>;
  encodeQueries<
    const Options extends EncodeQueriesOptions & ({ readonly returnLayers: true } | { readonly returnAttention: true }),
  >(
    imageFeatures: Tensor3D,
    options: Options,
  ): Promise<EncodedQueries<Options>>;
  /**
   * Text alone.
   *
   * @returns `[batch, tokens, width]`, the caller's; rows of padding mean nothing. With `returnLayers` every layer's.
   */
  encodeText(text: TokenBatch, options?: RunOptions & { readonly returnLayers?: false }): Promise<Tensor3D>;
  encodeText(
    text: TokenBatch,
    options: RunOptions & { readonly returnLayers: true },
  ): Promise<{ readonly text: Tensor3D } & WithLayers>;
  /**
   * Image-text matching logits, `[batch, 2]`, the caller's; index 1 means match.
   *
   * @param imageFeatures - One image for each text, or one, `[1, tokens, imageFeatureWidth]`, for all texts; kept.
   */
  match(imageFeatures: Tensor3D, text: TokenBatch, options?: RunOptions): Promise<Tensor2D>;
  /** Image-grounded text generation; there only for Q-Formers with a caption head. See `QFormer.startCaptioning`. */
  startCaptioning?: (imageFeatures: Tensor3D, options?: CaptioningOptions) => Promise<DecodingSession>;
  /** The learned temperature of the contrastive loss, or `undefined` where the checkpoint has none. */
  readTemperature(options?: RunOptions): Promise<number | undefined>;
}
