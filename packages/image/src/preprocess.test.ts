import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imageProcessorFromJson, imageProcessorOfSize, type ImageProcessor } from './image-processor.ts';
import { normalizeImages, preprocess } from './preprocess.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import type { RgbImage } from './rgb-image.ts';

function ramp(width: number, height: number, step = 37): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * step) % 256) };
}

const AS_IS: ImageProcessor = { ...imageProcessorOfSize(1), resize: undefined };

describe('normalizeImages', () => {
  const mean = [0.1, 0.2, 0.3] as const;
  const standardDeviation = [0.5, 0.25, 2] as const;

  it('is (byte · factor − mean) / deviation, channels last', () => {
    const images = [ramp(3, 2), ramp(3, 2, 91)];
    const expected = images.flatMap(({ data }) =>
      Array.from(data, (byte, i) => (byte / 255 - mean[i % 3]!) / standardDeviation[i % 3]!),
    );
    tf.tidy(() => {
      const pixels = normalizeImages(images, { rescaleFactor: 1 / 255, mean, standardDeviation });
      expect(pixels.shape).toEqual([2, 2, 3, 3]);
      expect(pixels).toBeAllclose(expected, 1e-6);
    });
  });

  it('with factor 1, mean 0 and deviation 1 gives the bytes', () => {
    tf.tidy(() => {
      const image = ramp(16, 6);
      const pixels = normalizeImages([image], { rescaleFactor: 1, mean: [0, 0, 0], standardDeviation: [1, 1, 1] });
      expect([...pixels.dataSync()]).toEqual([...image.data]);
    });
  });
});

describe('preprocess', () => {
  it('takes images of differing sizes; each row is as if alone, and a permutation permutes the rows', () => {
    const image = fc
      .record({
        width: fc.integer({ min: 1, max: 20 }),
        height: fc.integer({ min: 1, max: 20 }),
        step: fc.integer({ min: 1, max: 255 }),
      })
      .map(({ width, height, step }) => ramp(width, height, step));
    const processor = imageProcessorOfSize({ height: 6, width: 5 });
    fc.assert(
      fc.property(fc.array(image, { minLength: 1, maxLength: 4 }), (images) => {
        tf.tidy(() => {
          const rows = images.map((one) => preprocess([one], processor).dataSync());
          const batch = preprocess(images, processor);
          expect(batch.shape).toEqual([images.length, 6, 5, 3]);
          expect(batch).toBeAllclose(
            rows.flatMap((row) => [...row]),
            0,
          );
          const reversed = preprocess(images.toReversed(), processor);
          expect(reversed).toBeAllclose(tf.reverse(batch, 0).dataSync(), 0);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('keeps the aspect ratio with a shortest edge and rounds the other side down', () => {
    const processor = { ...AS_IS, resize: { shortestEdge: 7 } };
    const shapeOf = (width: number, height: number): number[] =>
      tf.tidy(() => preprocess([ramp(width, height)], processor).shape);
    expect(shapeOf(10, 3)).toEqual([1, 7, 23, 3]); // 7 · 10 / 3 = 23.3
    expect(shapeOf(3, 10)).toEqual([1, 23, 7, 3]);
    expect(shapeOf(4, 4)).toEqual([1, 7, 7, 3]);
  });

  it('crops after resizing; an image smaller than the crop is surrounded by black before normalisation', () => {
    const clip = imageProcessorFromJson({ image_processor_type: 'CLIPImageProcessor', size: 2, crop_size: 4 });
    const white = { width: 2, height: 2, data: new Uint8Array(12).fill(255) };
    const [black, full] = [0, 1].map((level) => clip.mean.map((mean, c) => (level - mean) / clip.standardDeviation[c]!));
    tf.tidy(() => {
      const pixels = preprocess([white], clip);
      expect(pixels.shape).toEqual([1, 4, 4, 3]);
      expect(tf.slice(pixels, [0, 0, 0, 0], [1, 1, 1, 3])).toBeAllclose(black!, 1e-6);
      expect(tf.slice(pixels, [0, 1, 1, 0], [1, 1, 1, 3])).toBeAllclose(full!, 1e-6);
      expect(tf.slice(pixels, [0, 2, 2, 0], [1, 1, 1, 3])).toBeAllclose(full!, 1e-6);
      expect(tf.slice(pixels, [0, 3, 3, 0], [1, 1, 1, 3])).toBeAllclose(black!, 1e-6);
    });
  });

  it('another size switches the crop off', () => {
    const clip = imageProcessorFromJson({ image_processor_type: 'CLIPImageProcessor', size: 6, crop_size: 4 });
    const image = ramp(9, 5);
    const size = { height: 3, width: 8 };
    tf.tidy(() => {
      const expected = normalizeImages([resizeBicubic(image, size)], clip);
      expect(preprocess([image], clip, { size })).toBeAllclose(expected, 0);
    });
  });

  it('makes one tensor and leaves none behind when it throws', async () => {
    await expectNoLeak(() => preprocess([ramp(5, 4), ramp(2, 2)], imageProcessorOfSize(3)).dispose());
    await expectNoLeak(() => normalizeImages([ramp(5, 4)], AS_IS).dispose());
    await expectNoLeak(() => expect(() => preprocess([ramp(5, 4), ramp(2, 2)], AS_IS)).toThrow());
  });

  const messageOf = (images: readonly RgbImage[]): string => {
    try {
      preprocess(images, AS_IS);
    } catch (cause) {
      return (cause as Error).message;
    }
    throw new Error('expected an error');
  };

  it('refuses an empty batch', () => {
    expect(messageOf([])).toMatchInlineSnapshot(
      `"normalizeImages: images is empty, expected at least one image. Pass an image."`,
    );
  });
  it('refuses different sizes where nothing makes them one', () => {
    expect(messageOf([ramp(5, 4), ramp(2, 3)])).toMatchInlineSnapshot(
      `"normalizeImages: images[1] is 2×3 and images[0] is 5×4, expected one size in a batch. Resize them first, or use a processor that resizes or crops to a fixed size."`,
    );
  });
  it('refuses RGBA and other arrays', () => {
    expect(messageOf([ramp(2, 2), { width: 2, height: 2, data: new Uint8Array(16) }])).toMatchInlineSnapshot(
      `"preprocess: images[1] is 2×2 with data of 16 bytes, expected a Uint8Array of 12 bytes (width × height × 3, RGB without alpha). Drop the alpha channel of RGBA pixels, or use decodeImage."`,
    );
    expect(messageOf([{ width: 1, height: 1, data: [1, 2, 3] as unknown as Uint8Array }])).toMatchInlineSnapshot(
      `"preprocess: images[0] is 1×1 with data of object, expected a Uint8Array of 3 bytes (width × height × 3, RGB without alpha). Drop the alpha channel of RGBA pixels, or use decodeImage."`,
    );
  });
  it('refuses a size of nothing', () => {
    expect(messageOf([{ width: 0, height: 2, data: new Uint8Array(0) }])).toMatchInlineSnapshot(
      `"preprocess: images[0] has width 0 and height 2, expected positive integers. Check the size."`,
    );
  });
});
