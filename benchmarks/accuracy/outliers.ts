import { describeOnlyReader, seededRandom, sizeOf } from '@blip2/core';
import type { NamedTensorData } from '@blip2/checkpoints/node';
import { describeVisionTransformer, type VisionTransformerConfig } from '@blip2/vision-encoder';
import { randomNormals } from '../random-checkpoint.ts';

/** What of the outliers that large trained Vision Transformers have is put into random weights. */
export interface Outliers {
  /**
   * Factor of four channels of every layer norm; the next layer's weights for them are divided by it, so the function stays the same. Sources: SmoothQuant (arXiv
   * 2211.10438), section 3: fixed channels of layer norms, about 100 times larger than the rest; RepQ-ViT (arXiv 2212.08254), section 3.
   */
  readonly gain?: number;
  /**
   * How far the class token and one patch make one neuron of the second block fire each, which writes it into one channel of their tokens. Source:
   * "Massive Activations in Large Language Models" (arXiv 2402.17762), also about CLIP and DINOv2: a few activations of single tokens in fixed channels that are larger
   * than 100 and than 1000 times the median.
   */
  readonly massive?: number;
}

/** Random weights of a vision encoder with outliers, under the names of a BLIP-2 checkpoint. */
export function encoderWithOutliers(config: VisionTransformerConfig, { gain, massive }: Outliers): NamedTensorData[] {
  const reader = describeOnlyReader('vision encoder');
  describeVisionTransformer(reader, config);
  const tensors = new Map(
    reader.taken.map(({ name, shape }, index) => {
      const isNorm = shape.length === 1 && name.endsWith('.weight');
      const values = randomNormals(sizeOf(shape), index * 7919, { mean: isNorm ? 1 : 0, deviation: 0.02 });
      return [name, { name, shape, values }];
    }),
  );
  const valuesOf = (name: string): Float32Array => tensors.get(`vision_model.${name}`)!.values;
  if (massive !== undefined) plantMassive(valuesOf, config, massive);
  if (gain !== undefined) for (let layer = 0; layer < config.layers; layer++) plantGain(valuesOf, config, layer, gain);
  return [...tensors.values()];
}

type Values = (name: string) => Float32Array;

function plantGain(valuesOf: Values, { width }: VisionTransformerConfig, layer: number, gain: number): void {
  const random = seededRandom(layer);
  for (const [norm, matrix] of [
    ['layer_norm1', 'self_attn.qkv'],
    ['layer_norm2', 'mlp.fc1'],
  ]) {
    const [scale, shift] = [valuesOf(`encoder.layers.${layer}.${norm}.weight`), valuesOf(`encoder.layers.${layer}.${norm}.bias`)];
    const weights = valuesOf(`encoder.layers.${layer}.${matrix}.weight`); // [out, width]
    for (let count = 0; count < 4; count++) {
      const channel = Math.floor(random() * width);
      scale[channel]! *= gain;
      shift[channel]! *= gain;
      for (let row = channel; row < weights.length; row += width) weights[row]! /= gain;
    }
  }
}

/** Two tokens get directions of their own, and a neuron each that fires for that direction alone. */
function plantMassive(valuesOf: Values, { width, feedForwardWidth }: VisionTransformerConfig, size: number): void {
  const classToken = valuesOf('embeddings.class_embedding'); // [1, 1, width]
  const positions = valuesOf('embeddings.position_embedding'); // [1, tokens, width]
  for (let index = 0; index < width; index++) classToken[index]! *= 50;
  const patch = 100 * width;
  for (let index = patch; index < patch + width; index++) positions[index]! *= 100;
  const directions = [classToken, positions.subarray(patch, patch + width)];
  const layer = 'encoder.layers.1.mlp';
  const [inMatrix, inBias, outMatrix] = [
    valuesOf(`${layer}.fc1.weight`),
    valuesOf(`${layer}.fc1.bias`),
    valuesOf(`${layer}.fc2.weight`),
  ];
  for (const [neuron, direction] of directions.entries()) {
    const norm = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
    for (let index = 0; index < width; index++) {
      // A normalised token in this direction has length √width.
      inMatrix[neuron * width + index] = (1.2 * size * direction[index]!) / (norm * Math.sqrt(width));
      outMatrix[index * feedForwardWidth + neuron]! *= 0.1;
    }
    inBias[neuron] = -0.2 * size;
    outMatrix[(7 + neuron) * feedForwardWidth + neuron] = 1;
  }
}
