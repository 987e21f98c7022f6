import '@tensorflow/tfjs';
import { join } from 'node:path';
import { loadBlip2 } from 'blip2/node';
import { captionScores } from './scores/captions.ts';
import { openHeldOut } from './scores/held-out.ts';
import { questionScores } from './scores/questions.ts';
import { retrievalScores } from './scores/retrieval.ts';
import { writeModel } from './write-model.ts';

/** Scores one part on scenes that nothing was trained on: `node score.ts FOLDER PART [IMAGES]`, for a first look with few images. */
const [root = '', part = '', images = '200'] = process.argv.slice(2);
const count = Number(images);
const folder = (name: string): string => join(root, name);
const [stage, kind] = part.split('-');
const task = stage === 'refine' ? 'joint' : stage;
const language = kind === undefined ? undefined : folder(kind);
await writeModel(folder(`model-${part}`), { vision: folder('vision'), bridge: folder(part), language });
using model = await loadBlip2(folder(`model-${part}`));
const heldOut = await openHeldOut(folder('held-out'));

if (task === 'stage1' || task === 'joint') {
  const { contrast, matching } = await retrievalScores(model, heldOut.retrieval.slice(0, count));
  for (const [name, { text, image }] of Object.entries({ contrast, matching })) console.log(name, { text, image });
}
if (task === 'stage2' || task === 'question' || task === 'joint') {
  const questions = heldOut.questions.slice(0, 4 * count);
  const annotations = heldOut.annotations.slice(0, 4 * count);
  console.log('questions', await questionScores(model, { questions, annotations }, task === 'stage2' ? 5 : 1));
}
if (task === 'stage2' || task === 'caption' || task === 'joint') {
  const rows = heldOut.captioned.slice(0, count);
  const prompt = task === 'stage2' ? '' : 'a photo of';
  const { texts, ...scores } = await captionScores(model, rows, prompt);
  console.log('captions', scores);
  for (const [domain, some] of Map.groupBy(heldOut.noCaps, (row) => row.domain)) {
    const { texts: _, ...inDomain } = await captionScores(model, some.slice(0, count), prompt);
    console.log(`NoCaps ${domain}`, inDomain);
  }
  for (const [index, text] of texts.slice(0, 8).entries()) console.log(`${text} | ${rows[index]!.captions![0]!}`);
}
