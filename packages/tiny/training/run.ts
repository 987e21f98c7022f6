import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { trainStageOne, trainStageTwo } from './bridge.ts';
import { pretrainLanguage } from './pretrain-language.ts';
import { pretrainVision } from './pretrain-vision.ts';
import { openWorld, SEEDS } from './world.ts';

/** Usage: run.ts FOLDER PART STEPS [RATE] [SCENES] */
const [root, part, stepsText, rateText = '1e-3', scenes = '20000'] = process.argv.slice(2) as string[];
const totalSteps = Number(stepsText);
const folder = (name: string): string => join(root!, name);
const open = (size = Number(scenes)) => openWorld(folder('vision'), folder('features'), { seed: SEEDS.training, size });
const weights = async (name: string) => (await openCheckpointFolder(folder(name))).weights;
const common = { totalSteps, learningRate: Number(rateText), batchSize: 64 };

if (part === 'vision') await pretrainVision(folder('vision'), totalSteps);
else if (part === 'opt' || part === 't5') await pretrainLanguage(part, folder(part), totalSteps);
else if (part === 'world') await open();
else if (part === 'stage1') await trainStageOne({ ...common, folder: folder('stage1'), world: await open() });
else {
  const [task, kind] = part!.split('-') as ['stage2' | 'caption' | 'question', 'opt' | 't5'];
  await trainStageTwo({
    ...common,
    folder: folder(part!),
    world: await open(),
    languageFolder: folder(kind),
    task: task === 'stage2' ? 'pre-training' : task,
    from: await weights('stage1'),
  });
}
process.exit(0);
