import { type EngineInputs, type Random, WeightReader } from '@blip2/core';
import { describeQFormer, type QFormerParams } from '@blip2/qformer';
import { createTokenizer } from '@blip2/tokenizers';
import {
  initialQFormer,
  qformerTexts,
  separateParameters,
  type StageOneBatch,
  stageOneLoss,
  type StageOneOptions,
} from '@blip2/training';
import { qformerSize } from '../sizes.ts';
import { bertFiles } from '../tokenizers/bert-files.ts';
import { readFeatures, type World } from '../world.ts';
import { type BridgeRun, pickOne, trainBridge, uniform } from './train-bridge.ts';

/** Longest caption, in tokens. */
export const CAPTION_TOKENS = 32;
/** The spread of drawn weights: 0.02, as BERT begins, is made for rows of 768 numbers. */
export const STANDARD_DEVIATION = 0.05;

const TOKENIZER = createTokenizer(bertFiles(), { kind: 'bert' });

/** The first stage, or retrieval, which is the same with other weights to begin with. */
export async function trainStageOne(run: BridgeRun, options: StageOneOptions = {}): Promise<void> {
  const { seed = 1, from, world } = run;
  const config = { ...qformerSize(TOKENIZER.vocabSize, world.vision), hasCaptionHead: options.captioning ?? true };
  const source = initialQFormer(config, { seed, standardDeviation: STANDARD_DEVIATION, from });
  await trainBridge<QFormerParams, StageOneBatch>(run, {
    name: 'stage 1',
    source,
    parameters: separateParameters<QFormerParams>(describeQFormer(new WeightReader(source, 'Q-Former'), config)),
    loss: (params, batch) => stageOneLoss(params, config, batch, options),
    length: world.size,
    make: async (rows, random) => ({ ...stageOnePairs(world, rows, random), features: await readFeatures(world, rows) }),
  });
}

/** What the first stage is told beside the features of images: one caption of each, and what draws the negatives. */
export function stageOnePairs(
  world: World,
  rows: readonly number[],
  random: Random,
): Omit<EngineInputs<StageOneBatch>, 'features'> {
  const captions = rows.map((row) => pickOne(world.captions[row]!, random));
  return {
    text: qformerTexts(TOKENIZER, captions, CAPTION_TOKENS),
    imageIds: { shape: [rows.length], data: Int32Array.from(rows) },
    negatives: { images: uniform(rows.length, random), texts: uniform(rows.length, random) },
  };
}
