import type { LossAndMetrics } from '@blip2/compiler';
import { type Described, WeightReader } from '@blip2/core';
import { describeQFormer, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import { createTokenizer } from '@blip2/tokenizers';
import {
  initialQFormer,
  type LanguageModelParams,
  separateParameters,
  type StageOneBatch,
  stageOneLoss,
  type StageTwoBatch,
  stageTwoLoss,
} from '@blip2/training';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor3D } from '@tensorflow/tfjs-core';
import { qformerSize } from '../sizes.ts';
import { bertFiles } from '../tokenizers/bert-files.ts';
import { readFeatures } from '../world.ts';
import { openLanguageModel, TEXT_LENGTHS } from './language-model.ts';
import { STANDARD_DEVIATION, stageOnePairs } from './stage-one.ts';
import { type BridgeAndLanguage, questionTexts, questionTokens } from './stage-two.ts';
import { type BridgeRun, pickOne, trainBridge } from './train-bridge.ts';

/** One batch of images for all three tasks: questions and captions are about all of them, pairs are of the first. */
export interface JointBatch extends Omit<StageOneBatch, 'features'> {
  readonly features: Tensor3D; // [images, imageTokens, imageFeatureWidth]
  /** In the language model's tokens. */
  readonly captions: StageTwoBatch['texts'];
  /** A question about each image, in the Q-Former's tokens and in the language model's, with its answer. */
  readonly questions: Required<Pick<StageTwoBatch, 'question' | 'texts'>>;
}

/** Captions are asked for with and without words. */
const CAPTION_PROMPTS = ['', 'a photo of'] as const;

/** Share of a batch that retrieval is of: pairs cost the most, and were learned in the first stage. */
const PAIRED = 1 / 8;

/**
 * Retrieval, captioning and question answering at once: the sum of the losses of the three fine-tunings, so that one small model
 * does what the paper has three large ones for.
 */
export function jointLoss(
  params: QFormerParams,
  config: QFormerConfig,
  languageModel: LanguageModelParams,
  { features, captions, questions, ...pairs }: JointBatch,
): LossAndMetrics {
  const paired = tf.slice(features, 0, PAIRED * features.shape[0]); // [pairs, imageTokens, …]
  const { loss: retrieval, ...metrics } = stageOneLoss(params, config, { ...pairs, features: paired });
  const { loss: caption } = stageTwoLoss(params, config, languageModel, { features, texts: captions });
  const { loss: answer } = stageTwoLoss(params, config, languageModel, { features, ...questions });
  return { ...metrics, caption, answer, loss: tf.addN([retrieval, caption, answer]) as Scalar };
}

/** Fine-tunes a bridge for everything. */
export async function trainJointly(run: BridgeRun & { readonly languageFolder: string }): Promise<void> {
  const { world, seed = 1, from } = run;
  const tokenizer = createTokenizer(bertFiles(), { kind: 'bert' });
  const model = await openLanguageModel(run.languageFolder);
  const config: QFormerConfig = { ...qformerSize(tokenizer.vocabSize, world.vision), promptWidth: model.width };
  const source = initialQFormer(config, { seed, standardDeviation: STANDARD_DEVIATION, from });
  const bridge = describeQFormer(new WeightReader(source, 'Q-Former'), config);
  const tree = { bridge, language: model.params } as Described<BridgeAndLanguage>;
  try {
    await trainBridge<BridgeAndLanguage, JointBatch>(run, {
      name: `joint ${model.kind}`,
      source,
      parameters: separateParameters<BridgeAndLanguage>(tree, (_, path) => path.startsWith('bridge.')),
      loss: (params, batch) => jointLoss(params.bridge, config, model.withParams(params.language), batch),
      length: world.size,
      make: async (rows, random) => {
        const captions = rows.map((row) => ({
          prompt: pickOne(CAPTION_PROMPTS, random),
          target: pickOne(world.captions[row]!, random),
        }));
        const asked = rows.map((row) => pickOne(world.questions[row]!, random));
        return {
          ...stageOnePairs(world, rows.slice(0, PAIRED * rows.length), random),
          features: await readFeatures(world, rows),
          captions: model.batch(captions, TEXT_LENGTHS.caption),
          questions: {
            question: questionTokens(asked.map(({ text }) => text)),
            texts: model.batch(
              asked.map((question) => questionTexts(question, model.kind)),
              TEXT_LENGTHS.question,
            ),
          },
        };
      },
    });
  } finally {
    model.checkpoint.dispose();
  }
}
