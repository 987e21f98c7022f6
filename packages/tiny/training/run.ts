import '@tensorflow/tfjs';
import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import type { WeightSource } from '@blip2/core';
import { trainJointly } from './bridge/joint.ts';
import { trainStageOne } from './bridge/stage-one.ts';
import { trainStageTwo } from './bridge/stage-two.ts';
import { pretrainLanguage } from './pretrain-language.ts';
import { pretrainVision } from './pretrain-vision.ts';
import { openWorld, SEEDS } from './world.ts';

/**
 * Trains one part: `node run.ts FOLDER PART STEPS [RATE] [SCENES]`, where PART is `vision`, `opt`, `t5`, `world`, `stage1`, or `stage2-`,
 * `caption-`, `question-`, `joint-` or `refine-` (`joint-` once more) with a language model. What a part begins with has to be in the folder.
 */
const [root = '', part = '', stepsText, rateText = '2e-3', scenes = '40000'] = process.argv.slice(2);
const totalSteps = Number(stepsText);
const folder = (name: string): string => join(root, name);

switch (part) {
  case 'vision':
    await pretrainVision(folder(part), totalSteps);
    break;
  case 'opt':
  case 't5':
    await pretrainLanguage(part, folder(part), totalSteps);
    break;
  default:
    await trainOnImages();
}
process.exit(0);

async function trainOnImages(): Promise<void> {
  const world = await openWorld(folder('vision'), folder('features'), { seed: SEEDS.training, size: Number(scenes) });
  const run = { folder: folder(part), world, totalSteps, learningRate: Number(rateText), batchSize: 64 };
  const [task, kind] = part.split('-');
  const languageFolder = folder(kind ?? '');
  if (task === 'stage1') await trainStageOne(run);
  else if (task === 'stage2') {
    await trainStageTwo({ ...run, languageFolder, task: 'pre-training', from: await weightsOf('stage1') });
  } else if (task === 'caption' || task === 'question') {
    await trainStageTwo({ ...run, languageFolder, task, from: await afterBothStages(kind!) });
  } else if (task === 'joint') await trainJointly({ ...run, languageFolder, from: await afterBothStages(kind!) });
  else if (task === 'refine') await trainJointly({ ...run, languageFolder, from: await weightsOf(`joint-${kind}`) });
}

async function weightsOf(name: string): Promise<WeightSource> {
  return (await openCheckpointFolder(folder(name))).weights;
}

/** The text branch and its heads, which the second stage does not need, are still as the first stage left them. */
async function afterBothStages(kind: string): Promise<Pick<WeightSource, 'get'>> {
  const [second, first] = [await weightsOf(`stage2-${kind}`), await weightsOf('stage1')];
  return { get: (name) => second.get(name) ?? first.get(name) };
}
