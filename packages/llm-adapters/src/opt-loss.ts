import { embed, tidy } from '@blip2/core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { crossEntropy, IGNORED_LABEL } from './cross-entropy.ts';
import { hostRows, tensorOf } from './host-tensors.ts';
import type { OptConfig } from './opt-config.ts';
import { optAttentionBias, optFeatures, optInput, optLayer, type OptParams, optPositions } from './opt-decoder.ts';
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
    const tokens = embed(params.tokens, tensorOf(hostRows(layout.ids))); // [batch, positions, embeddingWidth]
    const embeddings = placeVisualPrompt(layout, visualPrompt, tokens); // [batch, positions, embeddingWidth]
    const positions = embeddings.shape[1];
    const bias = optAttentionBias(layout.mask, positions);
    let hidden = optInput(params.input, embeddings, tensorOf(optPositions(layout.mask, positions))); // [batch, positions, width]
    for (const layer of params.layers) hidden = optLayer(layer, config, hidden, bias).hidden;
    const features = optFeatures(params.output, config, hidden); // [batch, positions, embeddingWidth]
    return crossEntropy(features, params.output.head, nextLabels(labels, positions));
  });
}

/** The label that each position predicts: that of the next one. Rows without labels for the queries get none there. */
function nextLabels(labels: readonly (readonly number[])[], positions: number): number[][] {
  return labels.map((row) => {
    const front = Array.from({ length: positions - row.length }, () => IGNORED_LABEL);
    return [...front, ...row, IGNORED_LABEL].slice(1);
  });
}
