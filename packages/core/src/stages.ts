import type { Scalar, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { RunOptions } from './abort-and-progress.ts';
import type { DecodingSession, GeneratedToken, GenerateOptions, Generation, PromptBatch, TextBatch } from './generation.ts';
import type { TokenBatch, Tokenizer } from './tokens.ts';

/**
 * The three stages of BLIP-2, as interfaces: what this project's packages implement and what a user implements
 * to plug in something else — another encoder, a model behind HTTP. Stage calls are asynchronous because
 * weights may stream and compiled graphs run off the main thread; the layers below them are plain functions.
 *
 * Ownership, everywhere: the caller owns the tensors it passes and the tensors it receives.
 */

/** Anything that holds weights. `dispose` may be called twice; use after it throws `DisposedError`. */
export interface Stage {
  dispose(): void;
  [Symbol.dispose](): void;
}

/** A frozen image encoder. */
export interface VisionEncoder extends Stage {
  readonly config: {
    /** Side of the square images it was trained on, in pixels. */
    readonly imageSize: number;
    readonly patchSize: number;
    /** Width of a feature vector. */
    readonly width: number;
    readonly layers: number;
  };
  /**
   * @param images - `[batch, imageHeight, imageWidth, 3]`, normalised.
   * @returns `[batch, tokens, width]`, the class token first; before `ln_vision`, which belongs to the Q-Former.
   */
  encode(images: Tensor4D, options?: RunOptions): Promise<Tensor3D>;
}

/** The trained bridge between image and language. */
export interface QFormer extends Stage {
  readonly config: {
    readonly queries: number;
    /** Width of a query's output. */
    readonly width: number;
    /** Width of the image features it was trained on: 1408 for ViT-g, 1024 for ViT-L. */
    readonly imageFeatureWidth: number;
    /** Width of the language projection, if there is one. */
    readonly promptWidth?: number;
    /** Width of the contrastive projections, if there are any. */
    readonly contrastiveWidth?: number;
    /** Whether it has text embeddings and text feed-forward layers. */
    readonly readsText: boolean;
  };
  /**
   * What the queries read from the image.
   * @param imageFeatures - `[batch, tokens, imageFeatureWidth]`, as a vision encoder gives them (before `ln_vision`).
   * @param options.text - Text the queries may also see (question-conditioned and multimodal passes).
   * @returns `[batch, queries, width]`
   */
  encodeQueries(imageFeatures: Tensor3D, options?: RunOptions & { readonly text?: TokenBatch }): Promise<Tensor3D>;
  /** Text alone. @returns `[batch, tokens, width]` */
  encodeText(text: TokenBatch, options?: RunOptions): Promise<Tensor3D>;
  /**
   * Image-text matching logits of each (image, text) pair, `[batch, 2]`; index 1 means match. One image,
   * `[1, tokens, imageFeatureWidth]`, is matched with every text.
   */
  match(imageFeatures: Tensor3D, text: TokenBatch, options?: RunOptions): Promise<Tensor2D>;
  /** The queries as language model input. @returns `[batch, queries, promptWidth]` */
  projectToPrompt(queries: Tensor3D, options?: RunOptions): Promise<Tensor3D>;
  /** L2-normalised contrastive features of query outputs. @returns `[batch, queries, contrastiveWidth]` */
  projectImage(queries: Tensor3D, options?: RunOptions): Promise<Tensor3D>;
  /** L2-normalised contrastive features of text outputs, every position; the first is the text's. @returns `[batch, tokens, contrastiveWidth]` */
  projectText(text: Tensor3D, options?: RunOptions): Promise<Tensor3D>;
  /**
   * Image-grounded text generation with the Q-Former's own caption head, for models that kept it: a session of one
   * row an image that begins with `[DEC]`. It keeps nothing of `imageFeatures`.
   * @param options.beginTokenId - The tokenizer's `[DEC]`, where it is not the one the Q-Former assumes.
   * @param options.endTokenIds - The tokenizer's `[SEP]`, likewise.
   */
  startCaptioning?(
    imageFeatures: Tensor3D,
    options?: RunOptions & { readonly beginTokenId?: number; readonly endTokenIds?: readonly number[] },
  ): Promise<DecodingSession>;
}

/** A frozen language model that takes a visual prompt. */
export interface LanguageModel extends Stage {
  readonly architecture: 'decoder-only' | 'encoder-decoder';
  /** Width of the visual prompt it takes. */
  readonly embeddingWidth: number;
  readonly tokenizer: Tokenizer;
  /**
   * Writes texts.
   * @param visualPrompt - `[batch, queries, embeddingWidth]`
   * @param prompts - One text an image; an empty string for none.
   * @returns for each image `returnSequences` texts, best first.
   */
  generate(visualPrompt: Tensor3D, prompts: PromptBatch, options?: GenerateOptions & RunOptions): Promise<Generation[][]>;
  /** Writes one text, token by token, greedily or by sampling. The visual prompt is `[1, queries, embeddingWidth]`. */
  stream(visualPrompt: Tensor3D, prompt: string, options?: GenerateOptions & RunOptions): AsyncIterable<GeneratedToken>;
  /** Mean cross-entropy of the targets, differentiable in `visualPrompt` `[batch, queries, embeddingWidth]`. */
  loss(visualPrompt: Tensor3D, batch: TextBatch): Scalar;
}
