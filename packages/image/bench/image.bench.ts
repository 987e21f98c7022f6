import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { bench, describe } from 'vitest';
import { decodePng } from '../src/formats/png.ts';
import { BLIP2_IMAGE_PROCESSOR, decodeImage, preprocess, resizeBicubic, type RgbImage } from '../src/node.ts';

// vitest bench packages/image --run

/** Gradients with some noise: compresses like a photo. */
function photo(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const noise = (Math.imul(x ^ (y << 7), 0x9e3779b1) >>> 28) - 8;
      data[i] = 128 + 100 * Math.sin(x / 90) * Math.cos(y / 70) + noise;
      data[i + 1] = ((x * y) >> 12) + noise;
      data[i + 2] = ((x + y) >> 3) + noise;
    }
  }
  return { width, height, data };
}

const encode = (image: RgbImage): ReturnType<typeof sharp> =>
  sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } });

const large = photo(4000, 3000);
const small = photo(640, 480);
const largeJpeg = await encode(large).jpeg({ quality: 90 }).toBuffer();
const smallJpeg = await encode(small).jpeg({ quality: 90 }).toBuffer();
const largePng = await encode(large).png().toBuffer();
const batch = Array.from({ length: 8 }, () => small);
const options = { time: 2000, iterations: 5, warmupIterations: 2 };

describe('image', () => {
  bench('decode JPEG 4000×3000, libvips', async () => void (await decodeImage(largeJpeg)), options);
  bench('decode JPEG 640×480, libvips', async () => void (await decodeImage(smallJpeg)), options);
  bench('decode PNG 4000×3000, libvips', async () => void (await decodeImage(largePng)), options);
  bench('decode PNG 4000×3000, our decoder', async () => void (await decodePng(largePng, 'bench')), options);
  bench('resize 4000×3000 to 224×224', () => void resizeBicubic(large, { width: 224, height: 224 }), options);
  bench('resize 640×480 to 224×224', () => void resizeBicubic(small, { width: 224, height: 224 }), options);
  bench('preprocess 8×640×480 to 8×224×224×3', () => preprocess(batch, BLIP2_IMAGE_PROCESSOR).dispose(), options);
});

// The benchmark needs no speed of its own from tfjs: only the tensor is made there.
await tf.ready();
