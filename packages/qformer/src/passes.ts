import { applyDropout, ConfigError, type Dropout, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { type AttentionPattern, captionMask, jointMask, textOnlyMask } from './attention-masks.ts';
import type { QFormerTextParams } from './heads.ts';
import type { QFormerConfig } from './qformer-config.ts';
import { embedQueries, embedText, type KeyValues, type LayerContext, qformerLayer, type QFormerParams } from './qformer.ts';

/**
 * The passes of BLIP-2 as whole, differentiable functions: queries alone, text alone, both together under one of
 * three masks, and text that continues the queries' keys and values. Training and compilation use these; the loaded
 * model runs the same layers block by block.
 *
 * Image arguments are normalised features (`normalizeImage`), `[batch, imageTokens, imageFeatureWidth]`.
 * All tensors passed are kept; all returned are the caller's.
 */

/** A batch of texts as tensors. */
export interface TextTensors {
  readonly ids: Tensor2D; //                     int32 [batch, tokens]
  readonly mask: Tensor2D; //                    int32 [batch, tokens], 1 = real, 0 = padding
}

/** Everything a pass computes on its way. */
export interface QFormerPass {
  /** `[0]` are the normalised embeddings, `[i]` the output of layer `i − 1`; `[batch, rows, width]`, queries first. */
  readonly hiddenStates: readonly Tensor3D[];
  /** The last hidden state. */
  readonly output: Tensor3D;
  /** If wanted, one map for each layer with cross-attention, in order: `[batch, heads, queries, imageTokens]`; otherwise empty. */
  readonly crossAttention: readonly Tensor4D[];
  /** Self-attention keys and values of each layer, `[batch, heads, rows, headWidth]`. */
  readonly keyValues: readonly KeyValues[];
}

/** How a pass runs in training. */
export interface QFormerTrainingOptions {
  /** Of embeddings, attention and feed-forward layers, where BERT has it. @default none, as in inference */
  readonly dropout?: Dropout;
}

/** What a pass gives besides its hidden states, and how it runs. */
export interface QFormerPassOptions extends QFormerTrainingOptions {
  /** Whether `crossAttention` is filled: its maps are not needed for the output. @default false */
  readonly returnAttention?: boolean;
}

/**
 * Queries alone read the image. `output` is `[batch, queries, width]`: the paper's Z.
 *
 * @example
 * const { output } = runQueryPass(params, config, normalizeImage(params.inputs, config, imageFeatures));
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.1.
 */
export function runQueryPass(
  params: QFormerParams,
  config: QFormerConfig,
  image: Tensor3D,
  { returnAttention, dropout }: QFormerPassOptions = {},
): QFormerPass {
  return tidy(() => {
    // Until they look at an image, the queries are the same for all: a compiler computes that part once for ever. Dropout makes them differ.
    const images = image.shape[0];
    const looking = params.layers.findIndex(({ crossAttention }) => crossAttention !== undefined);
    const isShared = !returnAttention && looking !== -1 && dropout === undefined;
    const hidden = embedQueries(params.inputs, config, isShared ? 1 : images); // [1 or batch, queries, width]
    const pass = runLayers(params, config, hidden, { queryRows: config.queries, image, returnAttention, dropout });
    const forAll = <X extends Tensor>(x: X, index: number): X =>
      isShared && index <= looking ? tf.tile(x, [images, ...x.shape.slice(1).map(() => 1)]) : x;
    return {
      ...pass,
      hiddenStates: pass.hiddenStates.map(forAll), // [batch, queries, width] each
      keyValues: pass.keyValues.map(({ keys, values }, index) => ({ keys: forAll(keys, index), values: forAll(values, index) })), // [batch, heads, queries, headWidth] each
    };
  });
}

/**
 * Text alone, which makes the Q-Former a BERT. `output` is `[batch, tokens, width]`; its first row stands for the text.
 * Source: LAVIS `blip2_qformer.py`, `text_output`.
 */
export function runTextPass(
  params: QFormerParams,
  config: QFormerConfig,
  text: TextTensors,
  { dropout }: QFormerTrainingOptions = {},
): QFormerPass {
  return tidy(() => {
    const hidden = embedText(params.inputs, textParamsOf(params), config, text.ids); // [batch, tokens, width]
    return runLayers(params, config, hidden, { queryRows: 0, mask: textOnlyMask(text.mask), dropout });
  });
}

/**
 * Queries and text together. `output` is `[batch, queries + tokens, width]`.
 *
 * @param image - One for each text, or one, `[1, imageTokens, imageFeatureWidth]`, for all of them.
 * @param pattern - `bidirectional` for matching, multimodal features and question-conditioned queries;
 *   `multimodal-causal` for captioning; `unimodal` shows two separate passes at once.
 * Source: BLIP-2 (arXiv 2301.12597), figure 2.
 */
export function runJointPass(
  params: QFormerParams,
  config: QFormerConfig,
  image: Tensor3D,
  text: TextTensors,
  pattern: AttentionPattern,
  { returnAttention, dropout }: QFormerPassOptions = {},
): QFormerPass {
  return tidy(() => {
    const queries = embedQueries(params.inputs, config, text.ids.shape[0]); // [batch, queries, width]
    const words = embedText(params.inputs, textParamsOf(params), config, text.ids); // [batch, tokens, width]
    const mask = jointMask(pattern, text.mask, config.queries); // broadcast to [batch, 1, rows, rows]
    const rows = tf.concat([queries, words], 1); // [batch, queries + tokens, width]
    return runLayers(params, config, rows, { queryRows: config.queries, image, mask, returnAttention, dropout });
  });
}

/**
 * Text that continues the queries of a query pass, causally: the captioning task. Queries never see text there, so this
 * gives the text rows of a `multimodal-causal` joint pass without running the queries again.
 * `output` is `[batch, tokens, width]`, for `captionLogits`.
 *
 * @param queryKeyValues - `keyValues` of {@link runQueryPass}; gradients flow through them.
 * Source: LAVIS `blip2_qformer.py`, image captioning part of `forward`.
 */
export function runCaptionPass(
  params: QFormerParams,
  config: QFormerConfig,
  queryKeyValues: readonly KeyValues[],
  text: TextTensors,
  { dropout }: QFormerTrainingOptions = {},
): QFormerPass {
  return tidy(() => {
    const hidden = embedText(params.inputs, textParamsOf(params), config, text.ids); // [batch, tokens, width]
    const mask = captionMask(text.mask, config.queries); // [batch, 1, tokens, queries + tokens]
    return runLayers(params, config, hidden, { queryRows: 0, mask, dropout }, queryKeyValues);
  });
}

/**
 * One more token of every caption: every row sees all that stands before it, so no mask is needed.
 * `output` is `[batch, 1, width]`, for `captionLogits`.
 *
 * @param past - `keyValues` of the pass before this one, of the queries or of the last token.
 * @param ids - int32 `[batch, 1]`
 * @param positions - int32 `[1]`, the token's place in the text
 * Source: LAVIS `Blip2Qformer.generate`.
 */
export function runCaptionStep(
  params: QFormerParams,
  config: QFormerConfig,
  past: readonly KeyValues[],
  ids: Tensor2D,
  positions: Tensor1D,
): QFormerPass {
  return tidy(() => {
    const hidden = embedText(params.inputs, textParamsOf(params), config, ids, positions); // [batch, 1, width]
    return runLayers(params, config, hidden, { queryRows: 0 }, past);
  });
}

function runLayers(
  params: QFormerParams,
  config: QFormerConfig,
  embedded: Tensor3D,
  context: Omit<LayerContext, 'past'>,
  past?: readonly KeyValues[],
): QFormerPass {
  let output = applyDropout(context.dropout, embedded); // [batch, rows, width]
  const hiddenStates = [output];
  const crossAttention: Tensor4D[] = [];
  const keyValues: KeyValues[] = [];
  for (const [index, layer] of params.layers.entries()) {
    const result = qformerLayer(layer, config, output, { ...context, past: past?.[index] });
    output = result.hidden; // [batch, rows, width]
    hiddenStates.push(output);
    keyValues.push(result.keyValues);
    if (result.crossAttention !== undefined) crossAttention.push(result.crossAttention);
  }
  return { hiddenStates, output, crossAttention, keyValues };
}

function textParamsOf({ text }: QFormerParams): QFormerTextParams {
  if (text !== undefined) return text;
  throw new ConfigError(
    'This Q-Former has no text embeddings: stage-2 checkpoints leave its text branch out. Take weights of a stage-1 or matching checkpoint.',
  );
}
