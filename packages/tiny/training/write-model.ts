import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import { type Checkpoint, CLIP_MEAN, CLIP_STANDARD_DEVIATION, readCheckpointJson, renamedWeight, type Weight } from '@blip2/core';
import { createTokenizer, TOKENIZER_FILES } from '@blip2/tokenizers';
import type { VisionTransformerConfig } from '@blip2/vision-encoder';
import { jsonBytes } from './file-bytes.ts';
import { qformerSize, VISION } from './sizes.ts';
import { bertFiles } from './tokenizers/bert-files.ts';

/** What a model is put together from. */
export interface ModelParts {
  readonly vision: string;
  readonly bridge: string;
  /** Absent in a model that matches. */
  readonly language?: string;
  /** @default VISION */
  readonly visionSize?: VisionTransformerConfig;
}

/** Writes a model in the Hub's layout, in half precision, into a folder that is made if needed; no tokeniser of a model that was there stays. */
export async function writeModel(folder: string, parts: ModelParts): Promise<void> {
  const [vision, bridge] = [await openCheckpointFolder(parts.vision), await openCheckpointFolder(parts.bridge)];
  const language = parts.language === undefined ? undefined : await openCheckpointFolder(parts.language);
  try {
    const weights = [
      ...weightsOf(vision),
      ...weightsOf(bridge),
      ...(language === undefined ? [] : weightsOf(language).map(languageWeight)),
    ];
    mkdirSync(folder, { recursive: true });
    // Language models of two kinds have files of different names.
    for (const name of TOKENIZER_FILES) rmSync(join(folder, name), { force: true });
    await writeWeights(folder, weights, { dtype: 'F16', overwrite: true });
    const readsText = bridge.weights.get('embeddings.word_embeddings.weight') !== undefined;
    const textConfig = language && ((await readCheckpointJson(language, 'config.json')) as Record<string, unknown>);
    writeFileSync(join(folder, 'config.json'), jsonBytes(configJson(parts.visionSize ?? VISION, textConfig, readsText)));
    writeFileSync(join(folder, 'preprocessor_config.json'), jsonBytes(PREPROCESSOR));
    // The Q-Former's vocabulary has a name that no language model's files have.
    const files = readsText ? bertFiles() : {};
    const own = language === undefined ? Object.keys(files) : ['vocab.txt'];
    for (const [name, bytes] of Object.entries(files))
      if (own.includes(name)) writeFileSync(join(folder, name), bytes as Uint8Array);
    for (const name of language === undefined ? [] : TOKENIZER_FILES) {
      const bytes = await language!.readFile(name);
      if (bytes !== undefined) writeFileSync(join(folder, name), bytes);
    }
  } finally {
    for (const checkpoint of [vision, bridge, language]) checkpoint?.dispose();
  }
}

function configJson(
  vision: VisionTransformerConfig,
  textConfig: Record<string, unknown> | undefined,
  readsText: boolean,
): Record<string, unknown> {
  const { vocabSize } = createTokenizer(bertFiles(), { kind: 'bert' });
  const qformer = qformerSize(vocabSize, vision);
  return {
    architectures: [textConfig === undefined ? 'Blip2ForImageTextRetrieval' : 'Blip2ForConditionalGeneration'],
    model_type: 'blip-2',
    image_text_hidden_size: qformer.contrastiveWidth,
    num_query_tokens: qformer.queries,
    qformer_config: {
      model_type: 'blip_2_qformer',
      cross_attention_frequency: qformer.crossAttentionFrequency,
      encoder_hidden_size: qformer.imageFeatureWidth,
      hidden_size: qformer.width,
      intermediate_size: qformer.feedForwardWidth,
      max_position_embeddings: qformer.maxPositions,
      num_attention_heads: qformer.heads,
      num_hidden_layers: qformer.layers,
      use_qformer_text_input: readsText,
      vocab_size: qformer.vocabSize,
    },
    text_config: textConfig ?? { model_type: 'opt' },
    torch_dtype: 'float16',
    use_decoder_only_language_model: textConfig?.['model_type'] !== 't5',
    vision_config: {
      model_type: 'blip_2_vision_model',
      hidden_act: vision.activation,
      hidden_size: vision.width,
      image_size: vision.imageSize,
      intermediate_size: vision.feedForwardWidth,
      layer_norm_eps: vision.normEpsilon,
      num_attention_heads: vision.heads,
      num_hidden_layers: vision.layers,
      patch_size: vision.patchSize,
      qkv_bias: true,
    },
  };
}

const PREPROCESSOR = {
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: CLIP_MEAN,
  image_processor_type: 'BlipImageProcessor',
  image_std: CLIP_STANDARD_DEVIATION,
  resample: 3,
  rescale_factor: 1 / 255,
  size: { height: VISION.imageSize, width: VISION.imageSize },
};

function weightsOf({ weights }: Checkpoint): Weight[] {
  return weights.names.map((name) => weights.get(name)!);
}

/** A language model of its own has names without the prefix. */
function languageWeight(weight: Weight): Weight {
  if (weight.name.startsWith('language_model.')) return weight;
  return renamedWeight(weight, `language_model.${weight.name}`);
}
