import { embed, tidy } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { crossEntropy, IGNORED_LABEL } from './cross-entropy.ts';
import type { OptConfig } from './opt-config.ts';
import { optAttentionBias, optFeatures, optInput, optLayer, type OptParams } from './opt-decoder.ts';
import { placeVisualPrompt, type PromptLayout } from './prompt.ts';

/**
 * Mean cross-entropy of a causal language model: each position predicts the label of the next.
 *
 * @param visualPrompt - `[batch, queries, embeddingWidth]`
 * @param labels - `[batch][positions]`, or without the queries, which then have none.
 * @returns a scalar in nats, differentiable in the parameters and the visual prompt.
 */
export function optLoss(
  params: OptParams,
  config: OptConfig,
  layout: PromptLayout,
  visualPrompt: Tensor3D | undefined,
  labels: readonly (readonly number[])[],
): Scalar {
  return tidy(() => {
    const ids = tf.tensor2d(layout.ids as number[][], [layout.ids.length, layout.ids[0]!.length], 'int32');
    const embeddings = placeVisualPrompt(layout, visualPrompt, embed(params.tokens, ids)); // [batch, positions, embeddingWidth]
    const bias = optAttentionBias(layout.mask, embeddings.shape[1]);
    let hidden = optInput(params.input, embeddings, layout.mask); // [batch, positions, width]
    for (const layer of params.layers) hidden = optLayer(layer, config, hidden, bias).hidden;
    const features = optFeatures(params.output, config, hidden); // [batch, positions, embeddingWidth]
    return crossEntropy(features, params.output.head, nextLabels(labels, layout.ids[0]!.length));
  });
}

/** The label that each position predicts: that of the next one. Rows without labels for the queries get none there. */
function nextLabels(labels: readonly (readonly number[])[], positions: number): number[][] {
  return labels.map((row) => {
    const front = Array.from({ length: positions - row.length }, () => IGNORED_LABEL);
    return [...front, ...row, IGNORED_LABEL].slice(1);
  });
}
