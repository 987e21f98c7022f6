import { activation, attend, layerNorm, linear, mergeHeads, splitHeads, tidy } from '@blip2/core';
import type { LayerNormParams, LinearParams } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import type { VisionTransformerConfig } from './vision-transformer-config.ts';

/**
 * The Vision Transformer, as BLIP-2 uses it frozen: an image becomes patches, patches become tokens, blocks of
 * pre-norm attention and feed-forward let them look at each other.
 *
 * Sources: ViT (arXiv 2010.11929), section 3.1; EVA (arXiv 2211.07636); CLIP (arXiv 2103.00020), section 2.4;
 * LAVIS `eva_vit.py` and `clip_vit.py`; transformers `Blip2VisionModel` and `CLIPVisionModel`.
 *
 * Axes: batch; imageHeight, imageWidth; channels (3); rows × columns of patches; patches = rows·columns;
 * tokens = 1 + patches, the class token first; width of a token; heads; headWidth = width / heads.
 */

/** Weights of a Vision Transformer. */
export interface VisionTransformerParams {
  readonly embeddings: VisionEmbeddingParams;
  readonly blocks: readonly VisionBlockParams[];
}

/** Weights that turn an image into tokens. */
export interface VisionEmbeddingParams {
  readonly patch: LinearParams; //           [width, channels·patchSize·patchSize], channels first as in the checkpoint's convolution
  readonly classToken: Tensor2D; //          [1, width]
  readonly positions: Tensor2D; //           [tokens, width], the class token's first
  readonly preNorm?: LayerNormParams; //     CLIP normalises the tokens before the first block
}

/** Weights of one block. */
export interface VisionBlockParams {
  readonly attentionNorm: LayerNormParams;
  readonly attention: VisionAttentionParams;
  readonly feedForwardNorm: LayerNormParams;
  readonly feedForwardIn: LinearParams; //   [feedForwardWidth, width]
  readonly feedForwardOut: LinearParams; //  [width, feedForwardWidth]
}

/** Weights of self-attention, each `[width, width]`. */
export interface VisionAttentionParams {
  readonly query: LinearParams;
  readonly key: LinearParams;
  readonly value: LinearParams;
  readonly output: LinearParams;
}

/**
 * All of the encoder in one differentiable function: image features before any final norm. (BLIP-2's `ln_vision`
 * belongs to the Q-Former, with which it is trained.)
 *
 * @param params - Kept. With a position table for another grid, images of another size fit; see `interpolatePositions`.
 * @param images - `[batch, imageHeight, imageWidth, 3]`, normalised; kept.
 * @returns `[batch, tokens, width]`, the caller's.
 *
 * @example
 * const features = visionTransformer(params, EVA_VIT_G, images); // [batch, 257, 1408]
 */
export function visionTransformer(params: VisionTransformerParams, config: VisionTransformerConfig, images: Tensor4D): Tensor3D {
  return tidy(() => {
    const tokens = embedImages(params.embeddings, config, images); // [batch, tokens, width]
    return params.blocks.reduce((hidden, block) => visionBlock(block, config, hidden), tokens); // [batch, tokens, width]
  });
}

/**
 * Images as tokens: a linear projection of every patch, the class token in front, and a learned position for each.
 *
 * @param images - `[batch, imageHeight, imageWidth, 3]`. Pixels right of and below the last whole patch are left out.
 * @returns `[batch, tokens, width]`
 */
export function embedImages(params: VisionEmbeddingParams, config: VisionTransformerConfig, images: Tensor4D): Tensor3D {
  return tidy(() => {
    const patches = linear(params.patch, cutIntoPatches(images, config.patchSize)); // [batch, patches, width]
    const classTokens = tf.tile(tf.expandDims(params.classToken, 0) as Tensor3D, [images.shape[0], 1, 1]); // [batch, 1, width]
    const tokens = tf.add(tf.concat([classTokens, patches], 1), params.positions) as Tensor3D; // [batch, tokens, width]
    return params.preNorm ? layerNorm(params.preNorm, tokens, config.normEpsilon) : tokens;
  });
}

/**
 * Cuts images into patches, row by row. The pixels of a patch are ordered channel, row, column: the order of the
 * checkpoint's convolution kernel, `[width, channels, patchSize, patchSize]`, which makes a convolution with
 * stride `patchSize` a plain matrix product.
 *
 * @param images - `[batch, imageHeight, imageWidth, channels]`
 * @returns `[batch, patches, channels·patchSize·patchSize]`
 */
export function cutIntoPatches(images: Tensor4D, patchSize: number): Tensor3D {
  const [batch, imageHeight, imageWidth, channels] = images.shape;
  const rows = Math.floor(imageHeight / patchSize);
  const columns = Math.floor(imageWidth / patchSize);
  return tidy(() => {
    const whole = tf.slice(images, [0, 0, 0, 0], [batch, rows * patchSize, columns * patchSize, channels]); // [batch, rows·patchSize, columns·patchSize, channels]
    const split = tf.reshape(whole, [batch * rows, patchSize, columns, patchSize, channels]); // [batch·rows, y, columns, x, channels]
    const patches = tf.transpose(split, [0, 2, 4, 1, 3]); // [batch·rows, columns, channels, y, x]
    return tf.reshape(patches, [batch, rows * columns, channels * patchSize * patchSize]) as Tensor3D; // [batch, patches, channels·y·x]
  });
}

/**
 * One pre-norm block: x + attention(norm(x)), then x + feedForward(norm(x)).
 *
 * @param hidden - `[batch, tokens, width]`; kept.
 * @returns `[batch, tokens, width]`
 */
export function visionBlock(params: VisionBlockParams, config: VisionTransformerConfig, hidden: Tensor3D): Tensor3D {
  return tidy(() => {
    const attended = selfAttention(params.attention, config, layerNorm(params.attentionNorm, hidden, config.normEpsilon));
    const seen = tf.add(hidden, attended) as Tensor3D; // [batch, tokens, width]
    const thought = feedForward(params, config, layerNorm(params.feedForwardNorm, seen, config.normEpsilon));
    return tf.add(seen, thought) as Tensor3D; // [batch, tokens, width]
  });
}

/** Every token reads from every token: `[batch, tokens, width]` → `[batch, tokens, width]`. */
function selfAttention(params: VisionAttentionParams, { heads, width }: VisionTransformerConfig, x: Tensor3D): Tensor3D {
  const query = splitHeads(linear(params.query, x), heads); // [batch, heads, tokens, headWidth]
  const key = splitHeads(linear(params.key, x), heads); // [batch, heads, tokens, headWidth]
  const value = splitHeads(linear(params.value, x), heads); // [batch, heads, tokens, headWidth]
  const read = attend(query, key, value, { scale: (width / heads) ** -0.5 }); // [batch, heads, tokens, headWidth]
  return linear(params.output, mergeHeads(read)); // [batch, tokens, width]
}

/** Each token for itself: `[batch, tokens, width]` → `[batch, tokens, width]`. */
function feedForward(
  params: Pick<VisionBlockParams, 'feedForwardIn' | 'feedForwardOut'>,
  config: VisionTransformerConfig,
  x: Tensor3D,
): Tensor3D {
  const inner = activation(config.activation, linear(params.feedForwardIn, x)); // [batch, tokens, feedForwardWidth]
  return linear(params.feedForwardOut, inner); // [batch, tokens, width]
}
