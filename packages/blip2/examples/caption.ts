// node packages/blip2/examples/caption.ts MODEL IMAGE
import '@tensorflow/tfjs-backend-wasm';
import process from 'node:process';
import * as tf from '@tensorflow/tfjs-core';
import { caption, loadBlip2 } from 'blip2/node';

const [folder, image] = process.argv.slice(2);
if (folder === undefined || image === undefined) throw new Error('usage: caption.ts MODEL IMAGE');

await tf.setBackend('wasm');
using model = await loadBlip2(folder);
const [written] = await caption(model, image);
console.log(written!.text);
