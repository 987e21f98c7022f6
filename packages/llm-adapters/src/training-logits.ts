import { applyDropout, causalBias, type Dropout, embed, linear, paddingBias, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs-core';
import { tensorOf } from './host-tensors.ts';
import type { OptConfig } from './opt-config.ts';
import { optFeatures, optInput, optLayer, type OptParams } from './opt-decoder.ts';
import type { T5Config } from './t5-config.ts';
import { t5CrossKeysAndValues, t5DecoderBuckets, t5DecoderLayer, t5Logits, type T5Params } from './t5-decoder.ts';
import { t5Bias, t5EncoderBuckets, t5EncoderLayer, t5StackOutput } from './t5-encoder.ts';

/**
 * Language models in training, as pure functions of tensors alone: they are differentiated and compiled, with a visual prompt that
 * is trained or with weights that are. Texts are padded on the right, where nothing that counts can see the padding.
 *
 * Sources: BLIP-2 (arXiv 2301.12597), section 3.3; LAVIS `blip2_opt.py` and `blip2_t5.py`, `forward`.
 */

/**
 * What OPT expects after each position, from the last query on: row 0 are the logits of the first token, if there is a visual prompt.
 *
 * @param visualPrompt - `[batch, queries, embeddingWidth]`; `undefined` for text alone, as in the model's own pre-training.
 * @param ids - int32 `[batch, tokens]`, the begin token first, padded on the right.
 * @param dropout - Of what attention and feed-forward layers add; OPT has none elsewhere. @default none
 * @returns `[batch, 1 + tokens, vocab]`, or `[batch, tokens, vocab]` without a visual prompt.
 *
 * @example
 * const loss = nextTokenLoss(optTrainingLogits(params, config, prompt, ids), tf.concat([ignored, labels], 1));
 */
export function optTrainingLogits(
  params: OptParams,
  config: OptConfig,
  visualPrompt: Tensor3D | undefined,
  ids: Tensor2D,
  dropout?: Dropout,
): Tensor3D {
  return tidy(() => {
    const words = embed(params.tokens, ids); // [batch, tokens, embeddingWidth]
    const embeddings = visualPrompt === undefined ? words : tf.concat([visualPrompt, words], 1); // [batch, positions, embeddingWidth]
    const [batch, positions] = embeddings.shape;
    const places = tf.tile(tf.expandDims(tf.range(2, positions + 2, 1, 'int32'), 0), [batch, 1]); // [batch, positions]; the first two rows are nobody's
    const bias = causalBias(positions, positions); // [1, 1, positions, positions]
    let hidden = optInput(params.input, embeddings, places as Tensor2D); // [batch, positions, width]
    for (const layer of params.layers) hidden = optLayer(layer, config, hidden, bias, undefined, undefined, dropout).hidden;
    const first = Math.max(0, (visualPrompt?.shape[1] ?? 0) - 1);
    const read = tf.slice(hidden, [0, first, 0], [-1, positions - first, -1]); // [batch, 1 + tokens, width]
    return linear({ weight: params.output.head }, optFeatures(params.output, config, read)); // [batch, 1 + tokens, vocab]
  });
}

/** Texts of an encoder-decoder model. */
export interface T5TrainingInputs {
  readonly promptIds: Tensor2D; //               int32 [batch, prompt tokens]
  readonly promptMask: Tensor2D; //              int32 [batch, prompt tokens], 1 = real, 0 = padding
  readonly decoderIds: Tensor2D; //              int32 [batch, tokens]: the start token, then the target but its last
}

/**
 * What T5 expects at each position of the target: row `i` are the logits of token `i`.
 *
 * @param visualPrompt - `[batch, queries, width]`, in front of the prompt's text; `undefined` for text alone.
 * @param dropout - Of embeddings, attention, feed-forward layers and the output of both stacks. @default none
 * @returns `[batch, tokens, vocab]`
 *
 * @example
 * const loss = tokenLoss(t5TrainingLogits(params, config, prompt, inputs), labels);
 */
export function t5TrainingLogits(
  params: T5Params,
  config: T5Config,
  visualPrompt: Tensor3D | undefined,
  { promptIds, promptMask, decoderIds }: T5TrainingInputs,
  dropout?: Dropout,
): Tensor3D {
  return tidy(() => {
    const words = embed(params.encoderTokens, promptIds); // [batch, prompt tokens, width]
    const embeddings = visualPrompt === undefined ? words : tf.concat([visualPrompt, words], 1); // [batch, positions, width]
    const seen = visualPrompt && tf.ones([visualPrompt.shape[0], visualPrompt.shape[1]], 'int32'); // [batch, queries]
    const padding = paddingBias(seen === undefined ? promptMask : tf.concat([seen as Tensor2D, promptMask], 1)); // [batch, 1, 1, positions]
    const encoderBuckets = tensorOf<Tensor2D>(t5EncoderBuckets(config, embeddings.shape[1])); // [positions, positions]
    const encoderBias = t5Bias(params.encoder.stack, encoderBuckets, padding); // [batch, heads, positions, positions]
    let encoded = applyDropout(dropout, embeddings); // [batch, positions, width]
    for (const layer of params.encoder.layers) encoded = t5EncoderLayer(layer, config, encoded, encoderBias, dropout);
    encoded = applyDropout(dropout, t5StackOutput(params.encoder.stack, config, encoded)); // [batch, positions, width]

    const tokens = decoderIds.shape[1];
    const decoderBuckets = tensorOf<Tensor2D>(t5DecoderBuckets(config, tokens, tokens)); // [tokens, tokens]
    const bias = { self: t5Bias(params.decoder.stack, decoderBuckets, causalBias(tokens, tokens)), cross: padding };
    let hidden = applyDropout(dropout, embed(params.decoderTokens, decoderIds)); // [batch, tokens, width]
    for (const layer of params.decoder.layers) {
      const cross = t5CrossKeysAndValues(layer, config, encoded); // [batch, heads, positions, headWidth]
      hidden = t5DecoderLayer(layer, config, hidden, bias, cross, undefined, dropout).hidden; // [batch, tokens, width]
    }
    const decoded = applyDropout(dropout, t5StackOutput(params.decoder.stack, config, hidden)); // [batch, tokens, width]
    return t5Logits(params, config, decoded); // [batch, tokens, vocab]
  });
}
