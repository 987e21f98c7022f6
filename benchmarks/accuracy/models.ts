import type { Checkpoint, Engine, HostTensor, Weight } from '@blip2/core';
import { seededRandom } from '@blip2/core';
import { OptLanguageModel, type T5LanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import type { VisionTransformerEncoder } from '@blip2/vision-encoder';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';

/** Values at one place of a model. */
export interface ModelValues {
  /** `block 3`, `logits`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The tokens before and after every block of an image encoder. */
export async function encoderValues(encoder: VisionTransformerEncoder, images: HostTensor): Promise<ModelValues[]> {
  const input = tf.tensor4d(images.data, images.shape as [number, number, number, number]) as Tensor4D;
  const { features, layers } = await encoder.encode(input, { returnLayers: true });
  const values = await readAll(layers, (index) => (index === 0 ? 'patches' : `block ${index}`));
  tf.dispose([input, features, ...layers]);
  return values;
}

/** What the queries of the Q-Former, which stays in float32, read from an encoder's features. */
export async function queryValues(checkpoint: Checkpoint, engine: Engine, features: ModelValues): Promise<ModelValues> {
  using qformer = await loadQFormer(checkpoint, { engine });
  const input = tf.tensor3d(features.data, features.shape as [number, number, number]);
  const queries = await qformer.encodeQueries(input);
  const [values] = await readAll([queries], () => 'queries');
  tf.dispose([input, queries]);
  return values!;
}

/** Whole sequences that mean nothing, for a language model. */
export interface Sequences {
  readonly batch: number;
  readonly tokens: number;
  readonly vocab: number;
}

/** States after every layer and logits at every position, teacher-forced. T5 reads one half of a sequence and writes the other. */
export async function languageValues(
  model: OptLanguageModel | T5LanguageModel,
  { batch, tokens, vocab }: Sequences,
): Promise<ModelValues[]> {
  const random = seededRandom(7);
  const draw = (length: number): number[][] =>
    Array.from({ length: batch }, () => Array.from({ length }, () => 5 + Math.floor(random() * (vocab - 5))));
  const visualPrompt = tf.randomNormal<tf.Rank.R3>([batch, 32, model.embeddingWidth], 0, 1, 'float32', 3);
  const batchOf = (ids: number[][]): { ids: number[][]; mask: number[][] } => ({ ids, mask: ids.map((row) => row.map(() => 1)) });
  if (model instanceof OptLanguageModel) {
    const { logits, features, hiddenStates } = await model.forward(visualPrompt, batchOf(draw(tokens)), { hiddenStates: true });
    const values = [...(await readAll(hiddenStates!, layerName(''))), ...(await readAll([logits], () => 'logits'))];
    tf.dispose([visualPrompt, logits, features, ...hiddenStates!]);
    return values;
  }
  const half = Math.floor(tokens / 2);
  const result = await model.forward(visualPrompt, batchOf(draw(half)), draw(half), { hiddenStates: true });
  const { encoderStates, decoderStates, logits, encoded, decoded } = result;
  const values = [
    ...(await readAll(encoderStates!, layerName('encoder '))),
    ...(await readAll(decoderStates!, layerName('decoder '))),
    ...(await readAll([logits], () => 'logits')),
  ];
  tf.dispose([visualPrompt, logits, encoded, decoded, ...encoderStates!, ...decoderStates!]);
  return values;
}

function layerName(part: string): (index: number) => string {
  return (index) => (index === 0 ? `${part}embeddings` : `${part}layer ${index}`);
}

async function readAll(tensors: readonly (Tensor | Tensor3D)[], name: (index: number) => string): Promise<ModelValues[]> {
  return Promise.all(
    tensors.map(async (tensor, index) => ({
      name: name(index),
      shape: tensor.shape,
      data: (await tensor.data()) as Float32Array,
    })),
  );
}

/**
 * The first layers of a language model's checkpoint, as a smaller model of the same widths. T5 does not divide attention scores by √headWidth; it starts with queries that
 * are so much smaller instead (transformers, `T5PreTrainedModel._init_weights`). Random weights of one deviation lack that: scores have a deviation of 6, attention picks
 * single tokens, and any change of the inputs grows from layer to layer. So queries are made smaller here.
 */
export function withLayers(checkpoint: Checkpoint, layers: number): Checkpoint {
  const isKept = (name: string): boolean => Number(/\.(?:layers|block)\.(\d+)\./.exec(name)?.[1] ?? 0) < layers;
  const names = checkpoint.weights.names.filter(isKept);
  const kept = new Set(names);
  return {
    name: checkpoint.name,
    weights: {
      name: checkpoint.weights.name,
      names,
      get(name) {
        const weight = kept.has(name) ? checkpoint.weights.get(name) : undefined;
        return weight && name.endsWith('Attention.q.weight') ? scaled(weight, T5_HEAD_WIDTH ** -0.5) : weight;
      },
    },
    async readFile(name, options) {
      const bytes = await checkpoint.readFile(name, options);
      if (name !== 'config.json' || bytes === undefined) return bytes;
      const config = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
      const counts = Object.fromEntries(['num_hidden_layers', 'num_layers', 'num_decoder_layers'].map((key) => [key, layers]));
      const shorter = Object.fromEntries(Object.entries(config).map(([key, value]) => [key, key in counts ? layers : value]));
      return new TextEncoder().encode(JSON.stringify(shorter));
    },
    dispose: () => checkpoint.dispose(),
  };
}

const T5_HEAD_WIDTH = 64;

function scaled(weight: Weight, factor: number): Weight {
  const { name, dtype, shape } = weight;
  return {
    name,
    dtype,
    shape,
    read: async (options) => ((await weight.read(options)) as Float32Array).map((value) => factor * value),
    rows: (begin, end) => scaled(weight.rows(begin, end), factor),
  };
}
