import { embed, tidy } from '@blip2/core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { crossEntropy } from './cross-entropy.ts';
import { hostRows, tensorOf } from './host-tensors.ts';
import { placeVisualPrompt, type PromptLayout } from './prompt.ts';
import type { T5Config } from './t5-config.ts';
import { t5Decoder, t5HeadInput, type T5Params } from './t5-decoder.ts';
import { t5Encoder } from './t5-encoder.ts';
import { t5DecoderInputs, type T5TrainingTokens } from './t5-prompt.ts';

/**
 * Mean cross-entropy of a T5 model's targets. The labels are not shifted: the decoder's input is.
 *
 * @param visualPrompt - `[batch, queries, width]`, in front of the encoder's text.
 * @returns a scalar in nats, differentiable in the parameters and the visual prompt.
 */
export function t5Loss(
  params: T5Params,
  config: T5Config,
  layout: PromptLayout,
  visualPrompt: Tensor3D | undefined,
  { labels, decoderMask }: Pick<T5TrainingTokens, 'labels' | 'decoderMask'>,
): Scalar {
  return tidy(() => {
    const embeddings = placeVisualPrompt(layout, visualPrompt, embed(params.encoderTokens, tensorOf(hostRows(layout.ids)))); // [batch, positions, width]
    const encoded = t5Encoder(params.encoder, config, embeddings, layout.mask); // [batch, positions, width]
    const targets = embed(params.decoderTokens, tensorOf(hostRows(t5DecoderInputs(labels, config)))); // [batch, target tokens, width]
    const decoded = t5Decoder(params.decoder, config, targets, decoderMask, encoded, layout.mask); // [batch, target tokens, width]
    return crossEntropy(t5HeadInput(params.headIsTied, config, decoded), params.head, labels);
  });
}
