import type { NamedTensorData } from '@blip2/checkpoints/node';
import { IGNORED_LABEL, type Random, seededRandom, sizeOf } from '@blip2/core';
import { randomNormals } from '../random-checkpoint.ts';
import type { Json, TrainingModelName } from './model-configs.ts';

/** Rows of a batch, and tokens of its texts. */
interface BatchSize {
  readonly batch: number;
  readonly tokens: number;
  /** Of what an encoder-decoder model reads before its target. */
  readonly promptTokens?: number;
}

/** 32 tokens are LAVIS's; the tiny models have the batches that they are trained with. */
export const TRAINING_SIZES: Readonly<Record<TrainingModelName, BatchSize>> = {
  'stage-1': { batch: 8, tokens: 32 },
  'stage-2-opt-2.7b-8-layers': { batch: 8, tokens: 32 },
  'tiny-stage-1': { batch: 64, tokens: 32 },
  'tiny-stage-2-opt': { batch: 64, tokens: 36 },
  'tiny-stage-2-t5': { batch: 64, tokens: 36, promptTokens: 24 },
};

/** Texts that end at different places. */
interface Texts {
  /** `[batch, tokens]` */
  readonly ids: Int32Array;
  /** 1 = real, 0 = padding. */
  readonly mask: Int32Array;
}

/** How texts begin and end, and what fills the rest. */
interface TextKind {
  readonly vocabSize: number;
  readonly begin?: number;
  readonly end: number;
  readonly pad: number;
}

const isTrainingModel = (name: string): name is TrainingModelName => name in TRAINING_SIZES;

/**
 * Image features and texts of one batch, as the recipe of the stage takes them.
 *
 * @param config - The model's `config.json`.
 * @returns `undefined` for a model that is not trained.
 */
export function trainingInputs(name: string, config: Json): NamedTensorData[] | undefined {
  if (!isTrainingModel(name)) return undefined;
  const size = TRAINING_SIZES[name];
  const random = seededRandom(2);
  const vision = config['vision_config'] as Readonly<Record<string, number>>;
  const text = config['text_config'] as { readonly model_type: string } & Readonly<Record<string, number>>;
  const imageTokens = (vision['image_size']! / vision['patch_size']!) ** 2 + 1;
  const shape = [size.batch, imageTokens, vision['hidden_size']!];
  const features = { name: 'features', shape, values: randomNormals(sizeOf(shape), 13) };
  if (name.endsWith('stage-1')) return [features, ...bertTexts(size, random, config)];
  return [features, ...(text.model_type === 't5' ? t5Texts(size, random, text) : optTexts(size, random, text))];
}

/** `[CLS]`, words, `[SEP]`. */
function bertTexts({ batch, tokens }: BatchSize, random: Random, config: Json): NamedTensorData[] {
  const { vocab_size: vocabSize } = config['qformer_config'] as { readonly vocab_size: number };
  const { ids, mask } = drawTexts([batch, tokens], random, { vocabSize, begin: 101, end: 102, pad: 0 });
  return [integers('text_ids', [batch, tokens], ids), integers('text_mask', [batch, tokens], mask)];
}

/** Begin token, words, end token; all of them are to be predicted, as in LAVIS. */
function optTexts({ batch, tokens }: BatchSize, random: Random, config: Readonly<Record<string, number>>): NamedTensorData[] {
  const kind = { vocabSize: config['vocab_size']!, begin: 2, end: config['eos_token_id']!, pad: 1 };
  const texts = drawTexts([batch, tokens], random, kind);
  return [integers('text_ids', [batch, tokens], texts.ids), integers('labels', [batch, tokens], labelsOf(texts))];
}

/** Words and the end token, for the encoder and for the decoder, which begins with the padding token. */
function t5Texts(
  { batch, tokens, promptTokens = tokens }: BatchSize,
  random: Random,
  config: Readonly<Record<string, number>>,
): NamedTensorData[] {
  const kind = { vocabSize: config['vocab_size']!, end: 1, pad: 0 };
  const prompts = drawTexts([batch, promptTokens], random, kind);
  const targets = drawTexts([batch, tokens], random, kind);
  const decoderIds = targets.ids.map((_, index) => (index % tokens === 0 ? kind.pad : targets.ids[index - 1]!));
  return [
    integers('prompt_ids', [batch, promptTokens], prompts.ids),
    integers('prompt_mask', [batch, promptTokens], prompts.mask),
    integers('decoder_ids', [batch, tokens], decoderIds),
    integers('labels', [batch, tokens], labelsOf(targets)),
  ];
}

/** Eight lengths in turn: all tokens, two less, four less, … */
function drawTexts([batch, tokens]: readonly [number, number], random: Random, { vocabSize, begin, end, pad }: TextKind): Texts {
  const first = Math.min(1000, Math.floor(vocabSize / 2)); // behind the special ones
  const last = vocabSize - 2; // the very last may be [DEC]
  const ids = new Int32Array(batch * tokens).fill(pad);
  const mask = new Int32Array(batch * tokens);
  for (let row = 0; row < batch; row++) {
    const at = row * tokens;
    const length = tokens - 2 * (row % 8);
    for (let index = 0; index < length - 1; index++) ids[at + index] = first + Math.floor(random() * (last - first));
    if (begin !== undefined) ids[at] = begin;
    ids[at + length - 1] = end;
    mask.fill(1, at, at + length);
  }
  return { ids, mask };
}

function labelsOf({ ids, mask }: Texts): Int32Array {
  return ids.map((id, index) => (mask[index] === 1 ? id : IGNORED_LABEL));
}

function integers(name: string, shape: readonly number[], values: Int32Array): NamedTensorData {
  return { name, shape, values };
}
