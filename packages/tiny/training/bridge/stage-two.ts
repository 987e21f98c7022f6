import { type Described, type Random, WeightReader } from '@blip2/core';
import type { OptParams, T5Params } from '@blip2/llm-adapters';
import { splitPrefix } from '@blip2/losses';
import { describeQFormer, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import { createTokenizer, processQuestion } from '@blip2/tokenizers';
import { initialQFormer, qformerTexts, separateParameters, type StageTwoBatch, stageTwoLoss } from '@blip2/training';
import { qformerSize } from '../sizes.ts';
import { bertFiles } from '../tokenizers/bert-files.ts';
import { readFeatures } from '../world.ts';
import { openLanguageModel, type PromptAndTarget, TEXT_LENGTHS } from './language-model.ts';
import { STANDARD_DEVIATION } from './stage-one.ts';
import { type BridgeRun, pickOne, trainBridge } from './train-bridge.ts';

/** What the language model is trained to write: captions as in pre-training, captions after a prompt, or answers. */
export type LanguageTask = 'pre-training' | 'caption' | 'question';

/** Longest question, in the Q-Former's tokens. */
export const QUESTION_TOKENS = 20;

const TOKENIZER = createTokenizer(bertFiles(), { kind: 'bert' });

/** The bridge and the language model behind it. */
export interface BridgeAndLanguage {
  readonly bridge: QFormerParams;
  readonly language: OptParams | T5Params;
}

/** The second stage, captioning, or question answering with queries that read the question. */
export async function trainStageTwo(
  run: BridgeRun & { readonly languageFolder: string; readonly task: LanguageTask },
): Promise<void> {
  const { world, task, seed = 1, from } = run;
  const model = await openLanguageModel(run.languageFolder);
  const config: QFormerConfig = {
    ...qformerSize(TOKENIZER.vocabSize, world.vision),
    readsText: task === 'question',
    hasMatchingHead: false,
    hasCaptionHead: false,
    hasTemperature: false,
    contrastiveWidth: undefined,
    promptWidth: model.width,
  };
  const source = initialQFormer(config, { seed, standardDeviation: STANDARD_DEVIATION, from });
  const bridge = describeQFormer(new WeightReader(source, 'Q-Former'), config);
  const tree = { bridge, language: model.params } as Described<BridgeAndLanguage>;
  // A row is an image, or one of its questions.
  const asked = world.questions.flatMap((questions, row) => questions.map((question) => ({ row, question })));
  try {
    await trainBridge<BridgeAndLanguage, StageTwoBatch>(run, {
      name: `${task} ${model.kind}`,
      source,
      parameters: separateParameters<BridgeAndLanguage>(tree, (_, path) => path.startsWith('bridge.')),
      loss: (params, batch) => stageTwoLoss(params.bridge, config, model.withParams(params.language), batch),
      length: task === 'question' ? asked.length : world.size,
      make: async (rows, random) => {
        if (task !== 'question') {
          const texts = rows.map((row) => captionTexts(pickOne(world.captions[row]!, random), task, model.kind, random));
          const lengths = TEXT_LENGTHS[task === 'pre-training' && model.kind === 't5' ? 'halves' : 'caption'];
          return { features: await readFeatures(world, rows), texts: model.batch(texts, lengths) };
        }
        const some = rows.map((row) => asked[row]!);
        return {
          features: await readFeatures(
            world,
            some.map(({ row }) => row),
          ),
          texts: model.batch(
            some.map(({ question }) => questionTexts(question, model.kind)),
            TEXT_LENGTHS.question,
          ),
          question: questionTokens(some.map(({ question }) => question.text)),
        };
      },
    });
  } finally {
    model.checkpoint.dispose();
  }
}

/** Questions as the queries read them. */
export function questionTokens(questions: readonly string[]): ReturnType<typeof qformerTexts> {
  return qformerTexts(
    TOKENIZER,
    questions.map((question) => processQuestion(question)),
    QUESTION_TOKENS,
  );
}

/** A caption as the task has it: whole, split in two for an encoder-decoder model, or after the prompt of fine-tuning. */
function captionTexts(caption: string, task: LanguageTask, kind: 'opt' | 't5', random: Random): PromptAndTarget {
  if (task === 'caption') return { prompt: 'a photo of', target: caption };
  if (kind === 'opt') return { prompt: '', target: caption };
  const { prefix, target } = splitPrefix(caption, random);
  return { prompt: prefix, target };
}

/** A question in the template of the model's family, and its answer. */
export function questionTexts(
  { text, answer }: { readonly text: string; readonly answer: string },
  kind: 'opt' | 't5',
): PromptAndTarget {
  return { prompt: `Question: ${processQuestion(text)} ${kind === 'opt' ? 'Answer:' : 'Short answer:'}`, target: answer };
}
