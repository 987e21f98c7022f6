/**
 * Captions, answers and searches, offline: `npm run demo`.
 *
 * The model is the small one that comes along, the images are scenes that it has never met. Beside the terminal's lines a page
 * with the pictures is written: demo-output/report.html.
 */
import '@tensorflow/tfjs-backend-wasm';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { captionFits } from '@blip2/datasets';
import * as tf from '@tensorflow/tfjs-core';
import { answer, caption, loadBlip2, search } from 'blip2/node';
import { reportPage, type SeenScene } from './report.ts';
import { imagePath, readScenes, sceneAt } from './scenes.ts';
import { showStages } from './stages.ts';

await tf.setBackend('wasm');
const scenes = readScenes();
const paths = scenes.map(imagePath);
using model = await loadBlip2();

console.log(`blip2.js: ${scenes.length} images that the small model has never seen\n\n${scenes[0]!.file} through every stage`);
await showStages(model, paths[0]!);

const captions = await caption(model, paths, { prompt: 'a photo of' }); // the words that captions followed in training
const seen: SeenScene[] = [];
for (const [index, scene] of scenes.entries()) {
  const answers = await answer(
    model,
    paths[index]!,
    scene.questions.map(({ text }) => text),
  );
  const [best] = await search(model, paths, scene.caption);
  const answered = scene.questions.map((question, place) => ({ ...question, given: answers[place]!.text }));
  const { text } = captions[index]!;
  const isTrue = captionFits(sceneAt(index), text);
  const one = { scene, caption: text, isTrue, answers: answered, found: scenes[best!.index]!.file };
  print(one);
  seen.push(one);
}

const questions = seen.flatMap(({ answers }) => answers);
const right = questions.filter(({ given, answer: truth }) => given === truth).length;
const found = seen.filter((one) => one.found === one.scene.file).length;
const truths = seen.filter(({ isTrue }) => isTrue).length;
const summary = `${truths} of ${seen.length} captions are true to the last object, ${right} of ${questions.length} answers are right, ${found} of ${seen.length} searches find their image first`;
const page = fileURLToPath(new URL('../demo-output/report.html', import.meta.url));
mkdirSync(new URL('../demo-output/', import.meta.url), { recursive: true });
writeFileSync(page, reportPage(seen, summary));
console.log(`\n${summary}\nThe pictures beside the words: demo-output/report.html`);

function print({ scene, caption: written, isTrue, answers, found: file }: SeenScene): void {
  console.log(`\n${scene.file}  ${isTrue ? '✓' : '✗'} ${written}`);
  for (const { text, given, answer: truth } of answers) {
    console.log(`        ${text.padEnd(60)} ${given === truth ? `✓ ${given}` : `✗ ${given}, not ${truth}`}`);
  }
  console.log(`        search: ${scene.caption.padEnd(52)} ${file === scene.file ? '✓' : '✗'} ${file}`);
}
