// Decodes a picture and prepares it for a BLIP-2 vision encoder:
//
//   node examples/basic.ts [IMAGE]
//
// Without a file it makes a PNG in memory.
import { BLIP2_IMAGE_PROCESSOR, decodeImage, preprocess } from '@blip2/image/node';
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';

await tf.setBackend('cpu');

async function drawPng(): Promise<Uint8Array> {
  const drawing = `<svg width="320" height="200"><rect width="320" height="200" fill="#8bd"/><circle cx="90" cy="80" r="50" fill="#fc3"/></svg>`;
  return sharp(Buffer.from(drawing)).png().toBuffer();
}

const image = await decodeImage(process.argv[2] ?? (await drawPng()));
console.log(`decoded ${image.width}×${image.height}, first pixel RGB ${[...image.data.subarray(0, 3)].join(', ')}`);

const pixels = preprocess([image], BLIP2_IMAGE_PROCESSOR); // [1, 224, 224, 3]
const { mean, variance } = tf.moments(pixels, [0, 1, 2]); // [3] each
console.log(`pixels [${pixels.shape.join(', ')}], mean ${mean.toString()}, variance ${variance.toString()}`);
tf.dispose([pixels, mean, variance]);
