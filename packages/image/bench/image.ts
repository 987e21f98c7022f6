import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import sharp from 'sharp';
import { decodePng } from '../src/formats/png.ts';
import {
  BLIP2_IMAGE_PROCESSOR,
  decodeImage,
  equalize,
  preprocess,
  resizeBicubic,
  rotate,
  sharpen,
  type RgbImage,
} from '../src/node.ts';

// node packages/image/bench/image.ts

await tf.setBackend('wasm');

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

/** Prints the median of nine runs, after two to warm up. */
async function measure(name: string, run: () => unknown): Promise<void> {
  const times: number[] = [];
  for (let round = -2; round < 9; round++) {
    const start = performance.now();
    await run();
    if (round >= 0) times.push(performance.now() - start);
  }
  const median = times.toSorted((left, right) => left - right)[4]!;
  console.log(`${name.padEnd(40)} ${median.toFixed(1).padStart(8)} ms`);
}

const square = { width: 224, height: 224 };
await measure('decode JPEG 4000×3000, libvips', () => decodeImage(largeJpeg));
await measure('decode JPEG 640×480, libvips', () => decodeImage(smallJpeg));
await measure('decode PNG 4000×3000, libvips', () => decodeImage(largePng));
await measure('decode PNG 4000×3000, our own', () => decodePng(largePng, 'bench'));
await measure('resize 4000×3000 to 224×224', () => resizeBicubic(large, square));
await measure('resize 640×480 to 224×224', () => resizeBicubic(small, square));
await measure('preprocess 8×640×480 to 8×224×224×3', () => preprocess(batch, BLIP2_IMAGE_PROCESSOR).dispose());

const seen = resizeBicubic(small, square);
await measure('equalize 224×224', () => equalize(seen));
await measure('rotate 224×224', () => rotate(seen, 15));
await measure('sharpen 224×224', () => sharpen(seen, 1.9));
