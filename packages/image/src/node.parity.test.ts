import { readFile } from 'node:fs/promises';
import { fixturePath, readGolden } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { differenceOf, type PillowFixture, readPillowFixtures } from '../fixtures/pillow-fixtures.ts';
import { decodeGif } from './formats/gif.ts';
import { decodePng } from './formats/png.ts';
import { decodeImage } from './node.ts';
import { BLIP2_IMAGE_PROCESSOR, imageProcessorFromJson, imageProcessorOfSize } from './image-processor.ts';
import { preprocess } from './preprocess.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import type { RgbImage } from './rgb-image.ts';

/**
 * libheif turns YUV into RGB with other rounding than libavif, and repeats halved chroma where libavif interpolates.
 * Measured: at most 1 level with full chroma; the test picture with halved chroma is the worst case, noise and hard edges.
 */
const AVIF_LIMITS: Readonly<Record<string, { largest: number; mean: number }>> = {
  'lossy.avif': { largest: 121, mean: 20 },
};
const FULL_CHROMA_LIMIT = { largest: 1, mean: 0.25 };

const REFUSED = ['ends_early.gif', 'plain.bmp', 'plain.tiff'];

const fixtures = readPillowFixtures();
const readable = fixtures.filter(({ name }) => !REFUSED.includes(name));

function expectPillows(actual: RgbImage, expected: RgbImage | undefined, name: string): void {
  const difference = differenceOf(actual, expected!);
  expect(difference).toBeDefined();
  const limit = name.endsWith('.avif') ? (AVIF_LIMITS[name] ?? FULL_CHROMA_LIMIT) : { largest: 0, mean: 0 };
  expect(difference!.largest).toBeLessThanOrEqual(limit.largest);
  expect(difference!.mean).toBeLessThanOrEqual(limit.mean);
}

describe('decodeImage in Node against Pillow', () => {
  it('has the fixtures it should', () => {
    const kinds = new Map<string, number>();
    for (const { name } of fixtures) kinds.set(name.split('.')[1]!, (kinds.get(name.split('.')[1]!) ?? 0) + 1);
    expect(Object.fromEntries(kinds)).toMatchInlineSnapshot(`
      {
        "avif": 13,
        "bmp": 1,
        "gif": 21,
        "jpg": 28,
        "png": 50,
        "tiff": 1,
        "webp": 9,
      }
    `);
  });

  it.each(readable)('$name as stored', async ({ name, path, stored }: PillowFixture) => {
    expectPillows(await decodeImage(path, { exifOrientation: 'ignore' }), stored, name);
  });

  it.each(readable.filter(({ name }) => name.includes('orientation')))('$name upright', async ({ name, path, upright }) => {
    expectPillows(await decodeImage(path), upright, name);
  });

  it.each(REFUSED)('refuses %s', async (name) => {
    await expect(decodeImage(fixtures.find((fixture) => fixture.name === name)!.path)).rejects.toMatchObject({ code: 'image' });
  });
});

describe('the decoders that every runtime shares, against Pillow', () => {
  it.each(readable.filter(({ name }) => name.endsWith('.png')))('$name', async ({ name, path, stored }) => {
    expectPillows(await decodePng(await readFile(path), name), stored, name);
  });

  it.each(readable.filter(({ name }) => name.endsWith('.gif')))('$name', async ({ name, path, stored }) => {
    expectPillows(decodeGif(await readFile(path), name), stored, name);
  });
});

describe('decodeImage in Node against the golden pixels', () => {
  const golden = readGolden('models/preprocessing');
  const images = golden.json.images as Record<string, { file: string; width: number; height: number }>;
  const pixelsOf = (name: string): RgbImage => {
    const { shape, data } = golden.get(name);
    return { width: shape[1]!, height: shape[0]!, data: data as Uint8Array };
  };

  it.each(Object.entries(images))('%s', async (name, { file, width, height }) => {
    const image = await decodeImage(fixturePath('models/preprocessing', file), { exifOrientation: 'ignore' });
    expect(image).toMatchObject({ width, height });
    if (golden.names.includes(`${name}.rgb`)) expect(image).toEqual(pixelsOf(`${name}.rgb`));
  });

  it.each(Object.entries(images))('%s all the way to normalised floats', async (name, { file }) => {
    const image = await decodeImage(fixturePath('models/preprocessing', file), { exifOrientation: 'ignore' });
    expect(resizeBicubic(image, { width: 42, height: 42 }).data).toEqual(golden.get(`${name}.resized_42`).data);
    tf.tidy(() => {
      const pixels = tf.transpose(preprocess([image], imageProcessorOfSize(42)), [0, 3, 1, 2]); // [1, 3, 42, 42]
      expect(pixels.dataSync()).toEqual(golden.get(`${name}.pixel_values_42`).data);
    });
  });

  it.each(['big', 'native224'])('%s at 224 pixels, every fourth value', async (name) => {
    const image = await decodeImage(fixturePath('models/preprocessing', images[name]!.file));
    const resized = resizeBicubic(image, { width: 224, height: 224 });
    if (name === 'big') expect(resized.data).toEqual(golden.get('big.resized_224').data);
    tf.tidy(() => {
      const pixels = tf.transpose(preprocess([image], BLIP2_IMAGE_PROCESSOR), [0, 3, 1, 2]); // [1, 3, 224, 224]
      const sampled = tf.stridedSlice(pixels, [0, 0, 0, 0], [1, 3, 224, 224], [1, 1, 4, 4]); // [1, 3, 56, 56]
      expect(sampled.dataSync()).toEqual(golden.get(`${name}.pixel_values_224_every4`).data);
    });
  });

  it('a shortest edge and a centre crop of a wide picture', async () => {
    const clip = imageProcessorFromJson({
      image_processor_type: 'CLIPImageProcessor',
      size: { shortest_edge: 42 },
      crop_size: 42,
    });
    const image = await decodeImage(fixturePath('models/preprocessing', images.big!.file));
    tf.tidy(() => {
      const pixels = tf.transpose(preprocess([image], clip), [0, 3, 1, 2]); // [1, 3, 42, 42]
      expect(pixels.dataSync()).toEqual(golden.get('big.clip_pixel_values_42').data);
    });
  });

  it('the photo turned upright, which is the default', async () => {
    const image = await decodeImage(fixturePath('models/preprocessing', images.exif_rotated!.file));
    expect(image).toEqual(pixelsOf('exif_rotated.rgb_transposed'));
  });
});
