// What both models say about a scene that they have never seen: node packages/tiny/examples/basic.ts
import { fileURLToPath } from 'node:url';
import { drawScene, renderScene } from '@blip2/datasets';
import { TINY_MODELS, tinyModelUrl } from '@blip2/tiny';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { answer, caption, loadBlip2, match } from 'blip2/node';

await tf.setBackend('wasm');
const scene = renderScene(drawScene({ seed: 5, index: 3 }));

for (const name of TINY_MODELS) {
  using model = await loadBlip2(fileURLToPath(tinyModelUrl(name)));
  const [written] = await caption(model, scene);
  const [background, count] = await answer(model, scene, ['what color is the background?', 'how many objects are there?']);
  const [scores] = await match(model, scene, written!.text);
  console.log(`${name}: ${written!.text}`);
  console.log(
    `${name}: background ${background!.text}, ${count!.text} objects; the caption fits with ${scores![0]!.itm.toFixed(2)}`,
  );
}
