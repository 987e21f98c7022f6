/** Draws the demo's images and writes what is true of them: `node demo/draw-images.ts`. */
import { writeFileSync } from 'node:fs';
import { askScene, describeScene, renderScene, sceneRandom } from '@blip2/datasets';
import sharp from 'sharp';
import { type DemoScene, imagePath, sceneAt, sceneKey, SCENES } from './scenes.ts';

const scenes: DemoScene[] = [];
for (let index = 0; index < SCENES; index++) {
  const [key, scene] = [sceneKey(index), sceneAt(index)];
  const file = `${String(index + 1).padStart(2, '0')}.png`;
  const { data, width, height } = renderScene(scene);
  await sharp(data, { raw: { width, height, channels: 3 } }).toFile(imagePath({ file }));
  const [caption] = describeScene(scene, sceneRandom(key, 'captions'));
  const questions = askScene(scene, sceneRandom(key, 'questions'), { count: 3 });
  scenes.push({ file, caption: caption!, questions: questions.map(({ text, answer }) => ({ text, answer })) });
}
writeFileSync(new URL('images/scenes.json', import.meta.url), `${JSON.stringify(scenes, undefined, 2)}\n`);
