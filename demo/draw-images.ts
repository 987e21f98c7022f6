/**
 * Draws the demo's images and writes what is true of them: `node demo/draw-images.ts`. Their seed is that of no other scenes, so no
 * model has met them.
 */
import { writeFileSync } from 'node:fs';
import { askScene, describeScene, drawScene, renderScene, sceneRandom } from '@blip2/datasets';
import sharp from 'sharp';
import type { DemoScene } from './scenes.ts';

const SEED = 77;
const COUNT = 12;

const scenes: DemoScene[] = [];
for (let index = 0; index < COUNT; index++) {
  const key = { seed: SEED, index };
  const scene = drawScene(key);
  const file = `${String(index + 1).padStart(2, '0')}.png`;
  const { data, width, height } = renderScene(scene);
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(new URL(`images/${file}`, import.meta.url).pathname);
  const [caption] = describeScene(scene, sceneRandom(key, 'captions'));
  const questions = askScene(scene, sceneRandom(key, 'questions'), { count: 3 });
  scenes.push({ file, caption: caption!, questions: questions.map(({ text, answer }) => ({ text, answer })) });
}
writeFileSync(new URL('images/scenes.json', import.meta.url), `${JSON.stringify(scenes, undefined, 2)}\n`);
