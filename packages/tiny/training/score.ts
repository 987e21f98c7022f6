import '@tensorflow/tfjs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadBlip2 } from 'blip2/node';
import { captionScores, heldOut, questionScores, retrievalScores } from './evaluate.ts';
import { writeModel } from './write-model.ts';

/** Usage: score.ts FOLDER PART [COUNT] */
const [root, part, count = '200'] = process.argv.slice(2) as string[];
const folder = (name: string): string => join(root!, name);
const [task, kind] = part!.split('-');
mkdirSync(folder(`model-${part}`), { recursive: true });
await writeModel(folder(`model-${part}`), { vision: folder('vision'), bridge: folder(part!), language: kind && folder(kind) });
const model = await loadBlip2(folder(`model-${part}`));
const scenes = heldOut(Number(count));
if (kind === undefined)
  console.log(
    JSON.stringify(await retrievalScores(model, scenes, { rerank: 16 }), (key, value) =>
      key.endsWith('Ranks') ? undefined : value,
    ),
  );
else if (task === 'question') console.log(await questionScores(model, scenes));
else {
  const { texts, six, ...scores } = await captionScores(model, scenes, task === 'caption' ? 'a photo of' : '');
  console.log(scores);
  for (let index = 0; index < 8; index++) console.log(texts[index], '|', six[index]![0]);
  if (task === 'stage2') console.log('zero-shot', await questionScores(model, scenes, 4, { beams: 5 }));
}
process.exit(0);
