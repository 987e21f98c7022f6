import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseBlip2Config } from '@blip2/checkpoints';
import { type Checkpoint, randomWeights, withTensorScope } from '@blip2/core';
import { describeLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, qformerConfigFromJson } from '@blip2/qformer';
import { fixturePath } from '@blip2/testing';
import { describeVisionTransformer, visionConfigFromJson } from '@blip2/vision-encoder';
import { beforeAll, describe, expect, it } from 'vitest';
import { visualPromptOf } from './caption.ts';
import { encodeImages, readImages } from './image-input.ts';
import { type Dtype, DTYPES, type ForEachPart, loadBlip2 } from './node.ts';

/**
 * The matrices of the fixtures are too small to be quantised. This is a model of the same kind with matrices of 65,536 weights
 * and more, random ones.
 */
function wideCheckpoint(): Checkpoint {
  const folder = fixturePath('models/blip2-opt');
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, Record<string, unknown>>;
  const config = parseBlip2Config({
    ...json,
    vision_config: { ...json['vision_config'], hidden_size: 256, intermediate_size: 512, num_hidden_layers: 2 },
    qformer_config: { ...json['qformer_config'], encoder_hidden_size: 256 },
    text_config: { ...json['text_config'], hidden_size: 256, word_embed_proj_dim: 256, ffn_dim: 512, num_hidden_layers: 2 },
  });
  const weights = randomWeights(
    (reader) => {
      describeVisionTransformer(reader, visionConfigFromJson(config.vision_config));
      describeQFormer(reader, qformerConfigFromJson(config));
      describeLanguageModel(reader, config.text_config);
    },
    { standardDeviation: 0.06 }, // attention and activations have something to decide
  );
  const readFile: Checkpoint['readFile'] = async (name) => {
    if (name === 'config.json') return new TextEncoder().encode(JSON.stringify(config));
    return name.startsWith('tokenizer') ? readFileSync(join(folder, name)) : undefined;
  };
  return { name: 'wide', weights, readFile, dispose: () => undefined };
}

interface Outputs {
  readonly features: Float32Array;
  /** Log-probability of the best first token of each image. */
  readonly scores: number[];
}

async function outputsOf(dtype: Dtype | ForEachPart<Dtype>): Promise<Outputs> {
  using model = await loadBlip2(wideCheckpoint(), { engine: 'compiled', dtype });
  const files = ['landscape', 'rgba', 'gray'].map((name) => fixturePath('models/preprocessing/images', `${name}.png`));
  const pixels = await readImages(model, files);
  return await withTensorScope(async (scope) => {
    const features = scope.own(await encodeImages(model, pixels)); // [batch, tokens, width]
    const visualPrompt = scope.own(await visualPromptOf(model, features)); // [batch, queries, promptWidth]
    const written = await model.languageModel!.generate(visualPrompt, ['', '', ''], { beams: 2, maxNewTokens: 1 });
    return { features: (await features.data()) as Float32Array, scores: written.map(([best]) => best!.score!) };
  });
}

/** ‖a − b‖ / ‖b‖ */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [difference, norm] = [0, 0];
  for (let index = 0; index < b.length; index++) {
    difference += (a[index]! - b[index]!) ** 2;
    norm += b[index]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

describe('number formats', () => {
  const outputs = new Map<string, Outputs>();
  beforeAll(async () => {
    for (const dtype of DTYPES) outputs.set(dtype, await outputsOf(dtype));
  });

  // Measured: 0.018 and 0.022, 0.143 and 0.230. Activations of trained models have other outliers; this says that weights are
  // quantised, and in the right places.
  it.each([
    { dtype: 'int8', features: 0.03, score: 0.05 },
    { dtype: 'int4', features: 0.2, score: 0.4 },
  ])('$dtype is near float32, and not the same', ({ dtype, features, score }) => {
    const [exact, quantized] = [outputs.get('fp32')!, outputs.get(dtype)!];
    const error = relativeError(quantized.features, exact.features);
    expect(error).toBeLessThan(features);
    expect(error).toBeGreaterThan(features / 10);
    const differences = quantized.scores.map((value, index) => Math.abs(value - exact.scores[index]!));
    expect(Math.max(...differences)).toBeLessThan(score);
    expect(Math.min(...differences)).toBeGreaterThan(0);
  });

  it('by part: what is not named stays float32', async () => {
    const mixed = await outputsOf({ languageModel: 'int4' });
    expect(mixed.features).toEqual(outputs.get('fp32')!.features);
    expect(mixed.scores).not.toEqual(outputs.get('fp32')!.scores);
  });
});
