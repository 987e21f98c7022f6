import '@tensorflow/tfjs';
import { join } from 'node:path';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';
import {
  type Described,
  type HostTensor,
  readCheckpointJson,
  type Tokenizer,
  WeightReader,
  type WeightSource,
} from '@blip2/core';
import { describeLanguageModel, optConfigFromJson, type OptParams, t5ConfigFromJson, type T5Params } from '@blip2/llm-adapters';
import { splitPrefix } from '@blip2/losses';
import { describeQFormer, type QFormerConfig, type QFormerParams } from '@blip2/qformer';
import { createTokenizer, loadTokenizer, processQuestion } from '@blip2/tokenizers';
import {
  checkpointFolder,
  createTrainingStep,
  indexedBatches,
  initialQFormer,
  namedTensors,
  optTexts,
  qformerTexts,
  separateParameters,
  type StageOneBatch,
  stageOneLoss,
  type StageOneOptions,
  type StageTwoBatch,
  stageTwoLoss,
  t5Texts,
  train,
  warmupCosine,
} from '@blip2/training/node';
import type { Random } from '@blip2/core';
import { progressLog } from './progress-log.ts';
import { qformerSize, VISION } from './sizes.ts';
import { bertFiles } from './tokenizers/bert-files.ts';
import type { World } from './world.ts';

/** What every run of the bridge is told. */
export interface BridgeRun {
  readonly folder: string;
  readonly world: World;
  readonly totalSteps: number;
  readonly learningRate: number;
  readonly batchSize: number;
  /** Weights to begin with. @default drawn */
  readonly from?: WeightSource;
  readonly seed?: number;
}

const TEXT_TOKENS = 32;
const ADAMW = { betas: [0.9, 0.98], weightDecay: 0.05 } as const;

/** The first stage, or retrieval, which is the same with other weights to begin with. */
export async function trainStageOne(run: BridgeRun, options: StageOneOptions = {}): Promise<void> {
  const tokenizer = createTokenizer(bertFiles(), { kind: 'bert' });
  const config = qformerSize(tokenizer.vocabSize);
  const source = initialQFormer(config, { seed: run.seed ?? 1, standardDeviation: 0.05, from: run.from });
  const parameters = separateParameters<QFormerParams>(describeQFormer(new WeightReader(source, 'Q-Former'), config));
  await trainBridge<QFormerParams, StageOneBatch>(
    run,
    'stage 1',
    source,
    parameters,
    (params, batch) => stageOneLoss(params, config, batch, options),
    {
      length: run.world.size,
      make: async (rows, random) => ({
        features: await readFeatures(run.world, rows),
        text: qformerTexts(
          tokenizer,
          rows.map((row) => pickOne(run.world.captions[row]!, random)),
          TEXT_TOKENS,
        ),
        imageIds: { shape: [rows.length], data: Int32Array.from(rows) },
        negatives: { images: uniform(rows.length, random), texts: uniform(rows.length, random) },
      }),
    },
  );
}

/** What the second stage trains for. */
export type LanguageTask = 'pre-training' | 'caption' | 'question';

/** The second stage, captioning, or question answering with queries that read the question. */
export async function trainStageTwo(
  run: BridgeRun & { readonly languageFolder: string; readonly task: LanguageTask },
): Promise<void> {
  const { world, task } = run;
  const textTokenizer = createTokenizer(bertFiles(), { kind: 'bert' });
  const language = await openLanguageModel(run.languageFolder);
  const isQuestion = task === 'question';
  const config: QFormerConfig = {
    ...qformerSize(textTokenizer.vocabSize),
    readsText: isQuestion,
    hasMatchingHead: false,
    hasCaptionHead: false,
    hasTemperature: false,
    contrastiveWidth: undefined,
    promptWidth: 128,
  };
  const source = initialQFormer(config, { seed: run.seed ?? 1, standardDeviation: 0.05, from: run.from });
  const bridge = describeQFormer(new WeightReader(source, 'Q-Former'), config);
  type Tree = { readonly bridge: QFormerParams; readonly language: OptParams | T5Params };
  const parameters = separateParameters<Tree>({ bridge, language: language.params } as Described<Tree>, (_, path) =>
    path.startsWith('bridge.'),
  );
  const asked = world.questions.flatMap((questions, row) => questions.map((question) => ({ row, question })));
  const length = isQuestion ? asked.length : world.size;
  await trainBridge<Tree, StageTwoBatch>(
    run,
    `${task} ${language.kind}`,
    source,
    parameters,
    (params, batch) => stageTwoLoss(params.bridge, config, { ...language, params: params.language } as never, batch),
    {
      length,
      make: async (rows, random) => {
        const images = isQuestion ? rows.map((row) => asked[row]!.row) : rows;
        const texts = isQuestion
          ? rows.map((row) => questionTexts(asked[row]!.question, language.kind))
          : rows.map((row) => captionTexts(pickOne(world.captions[row]!, random), task, language.kind, random));
        const questions = isQuestion && rows.map((row) => processQuestion(asked[row]!.question.text));
        return {
          features: await readFeatures(world, images),
          texts: language.batch(texts),
          ...(questions && { question: qformerTexts(textTokenizer, questions, 20) }),
        };
      },
    },
  );
}

interface PromptAndTarget {
  readonly prompt: string;
  readonly target: string;
}

function captionTexts(caption: string, task: LanguageTask, kind: 'opt' | 't5', random: Random): PromptAndTarget {
  if (task === 'caption') return { prompt: 'a photo of', target: caption };
  if (kind === 'opt') return { prompt: '', target: caption };
  const { prefix, target } = splitPrefix(caption, random);
  return { prompt: prefix, target };
}

function questionTexts(
  { text, answer }: { readonly text: string; readonly answer: string },
  kind: 'opt' | 't5',
): PromptAndTarget {
  const question = processQuestion(text);
  return { prompt: `Question: ${question} ${kind === 'opt' ? 'Answer:' : 'Short answer:'}`, target: answer };
}

/** A frozen language model, and how texts become its batches. */
async function openLanguageModel(folder: string) {
  const checkpoint = await openCheckpointFolder(folder);
  const json = (await readCheckpointJson(checkpoint, 'config.json')) as { model_type: 'opt' | 't5' };
  const tokenizer: Tokenizer = await loadTokenizer(checkpoint);
  const params = describeLanguageModel(new WeightReader(checkpoint.weights, 'language model'), json);
  const split = (texts: readonly PromptAndTarget[]) => ({
    prompts: texts.map(({ prompt }) => prompt),
    targets: texts.map(({ target }) => target),
  });
  if (json.model_type === 'opt') {
    const config = optConfigFromJson(json);
    const batch = (texts: readonly PromptAndTarget[]): unknown => optTexts(tokenizer, config, split(texts), TEXT_TOKENS + 4);
    return { kind: 'opt' as const, config, params, batch };
  }
  const config = t5ConfigFromJson(json);
  const batch = (texts: readonly PromptAndTarget[]): unknown =>
    t5Texts(tokenizer, config, split(texts), { promptTokens: 24, targetTokens: TEXT_TOKENS + 4 });
  return { kind: 't5' as const, config, params, batch };
}

async function trainBridge<Tree, Batch>(
  run: BridgeRun,
  name: string,
  source: WeightSource,
  parameters: ReturnType<typeof separateParameters<Tree>>,
  loss: (params: Tree, batch: Batch) => { readonly loss: never } | any,
  data: { readonly length: number; readonly make: (rows: readonly number[], random: Random) => Promise<unknown> },
): Promise<void> {
  const { batchSize, totalSteps, folder, seed = 1 } = run;
  const example = await data.make(
    Array.from({ length: batchSize }, (_, row) => row),
    () => 0.5,
  );
  const step = await createTrainingStep<Tree, Batch>(loss, {
    parameters,
    example: example as never,
    clipNorm: 1,
    decays: (_, shape) => shape.length !== 1,
    ...ADAMW,
  });
  await train({
    step: step as never,
    batches: indexedBatches({ length: data.length, batchSize, seed, make: data.make }),
    schedule: warmupCosine({
      peak: run.learningRate,
      minimum: run.learningRate / 20,
      totalSteps,
      warmupSteps: Math.min(100, totalSteps),
    }),
    totalSteps,
    checkpoints: checkpointFolder(join(folder, 'checkpoints'), { identity: { name, totalSteps, seed }, keep: 1 }),
    saveEvery: 500,
    loggers: [progressLog(name)],
  });
  const { params } = await step.state();
  await writeWeights(
    folder,
    namedTensors(parameters.trained, params as never, (each) => source.get(each)?.shape),
    { overwrite: true },
  );
  step.dispose();
}

async function readFeatures(world: World, rows: readonly number[]): Promise<HostTensor> {
  const data = await world.features.read(rows.map(String));
  return { shape: [rows.length, data.length / rows.length / VISION.width, VISION.width], data };
}

function uniform(count: number, random: Random): HostTensor {
  return { shape: [count], data: Float32Array.from({ length: count }, random) };
}

function pickOne<Item>(items: readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)]!;
}
