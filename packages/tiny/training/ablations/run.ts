import '@tensorflow/tfjs';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { type Blip2, inspectCheckpoint, loadBlip2 } from 'blip2/node';
import { trainStageOne } from '../bridge/stage-one.ts';
import { trainStageTwo } from '../bridge/stage-two.ts';
import { pretrainLanguage } from '../pretrain-language.ts';
import { pretrainVision } from '../pretrain-vision.ts';
import { openHeldOut } from '../scores/held-out.ts';
import { answerScores } from '../scores/questions.ts';
import { retrievalScores } from '../scores/retrieval.ts';
import { SMALL_VISION, VISION } from '../sizes.ts';
import { openWorld, SEEDS, type World } from '../world.ts';
import { type ModelParts, writeModel } from '../write-model.ts';
import { STAGE_ONE, STAGE_TWO, type StageOneExperiment, type StageTwoExperiment, type VisionPart } from './experiments.ts';
import { type Result, Results } from './results.ts';

/**
 * The paper's ablations in small: `node run.ts FOLDER [SEED]`, where FOLDER is what `train-all.ts` has trained or `unpack.ts` has
 * unpacked. Adds to FOLDER/ablations/results-SEED.json; what is there is not done again. Seeds may run side by side, once the small
 * parts and the features are there, which a run without SEED makes.
 */
const [root = '', seedText] = process.argv.slice(2);
const folder = (...names: string[]): string => join(root, ...names);
const STEPS = { stageOne: 200, stageTwo: 200, smallVision: 2000, smallLanguage: 1500 } as const;
const IMAGES = { retrieval: 500, questions: 250 } as const;
const VISION_SIZES = { vision: VISION, 'vision-small': SMALL_VISION } as const;

mkdirSync(folder('ablations'), { recursive: true });
const heldOut = await openHeldOut(folder('held-out'));
const worlds = new Map<VisionPart, World>();
await pretrain('vision-small', (target) => pretrainVision(target, STEPS.smallVision, SMALL_VISION));
await pretrain('opt-small', (target) => pretrainLanguage('opt small', target, STEPS.smallLanguage));
for (const vision of Object.keys(VISION_SIZES) as VisionPart[]) await worldOf(vision);
if (seedText !== undefined) {
  const seed = Number(seedText);
  const results = new Results(folder('ablations', `results-${seed}.json`));
  for (const experiment of STAGE_ONE) if (!results.has(1, experiment.name)) results.add(await runStageOne(experiment, seed));
  for (const experiment of STAGE_TWO) if (!results.has(2, experiment.name)) results.add(await runStageTwo(experiment, seed));
}
process.exit(0);

async function runStageOne({ name, options, vision }: StageOneExperiment, seed: number): Promise<Result> {
  const bridge = stageOneFolder(name, seed);
  await trainStageOne({ ...(await runIn(bridge, vision, STEPS.stageOne)), seed }, options);
  const rows = heldOut.retrieval.slice(0, IMAGES.retrieval);
  const parts = { vision: folder(vision), visionSize: VISION_SIZES[vision], bridge };
  const { result, ...parameters } = await withModel(parts, seed, (model) =>
    retrievalScores(model, rows, { pooling: options.pooling }),
  );
  const { contrast, matching } = result;
  const scores = {
    'R@1 image → text': contrast.text.r1,
    'R@1 text → image': contrast.image.r1,
    'R@1 image → text, matched': matching.text.r1,
    'R@1 text → image, matched': matching.image.r1,
  };
  return { stage: 1, name, seed, scores, ...parameters };
}

async function runStageTwo({ name, from, language, vision }: StageTwoExperiment, seed: number): Promise<Result> {
  const bridge = folder('ablations', `stage 2, ${name}, ${seed}`);
  const first = from === undefined ? undefined : await openCheckpointFolder(stageOneFolder(from, seed));
  const run = { ...(await runIn(bridge, vision, STEPS.stageTwo)), seed, from: first?.weights };
  await trainStageTwo({ ...run, languageFolder: folder(language), task: 'pre-training' });
  first?.dispose();
  const questions = heldOut.questions.slice(0, 4 * IMAGES.questions);
  const annotations = heldOut.annotations.slice(0, 4 * IMAGES.questions);
  const parts = { vision: folder(vision), visionSize: VISION_SIZES[vision], bridge, language: folder(language) };
  const { result, ...parameters } = await withModel(parts, seed, (model) => answerScores(model, { questions, annotations }, 5));
  return { stage: 2, name, seed, scores: { 'zero-shot VQA': result.overall }, ...parameters };
}

function stageOneFolder(name: string, seed: number): string {
  return folder('ablations', `stage 1, ${name}, ${seed}`);
}

async function pretrain(part: string, train: (target: string) => Promise<void>): Promise<void> {
  if (!existsSync(folder(part, 'model.safetensors'))) await train(folder(part));
}

async function runIn(target: string, vision: VisionPart, totalSteps: number) {
  return { folder: target, world: await worldOf(vision), totalSteps, learningRate: 2e-3, batchSize: 64 };
}

async function worldOf(vision: VisionPart): Promise<World> {
  const known = worlds.get(vision);
  if (known !== undefined) return known;
  const features = folder(vision === 'vision' ? 'features' : `features-${vision}`);
  const world = await openWorld(folder(vision), features, { seed: SEEDS.training, size: 20_000, vision: VISION_SIZES[vision] });
  worlds.set(vision, world);
  return world;
}

/** Joins the parts for a moment. */
async function withModel<Scores>(parts: ModelParts, seed: number, score: (model: Blip2) => Promise<Scores>) {
  const target = folder('ablations', `model, ${seed}`);
  await writeModel(target, parts);
  const checkpoint = await openCheckpointFolder(target);
  const { parameters, trainable: trained } = await inspectCheckpoint(checkpoint);
  using model = await loadBlip2(checkpoint);
  return { result: await score(model), parameters, trained };
}
