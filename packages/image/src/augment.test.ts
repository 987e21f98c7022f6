import { seededRandom } from '@blip2/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { augmentForTraining, crop, drawCropBox, flipHorizontally } from './augment.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import type { RgbImage } from './rgb-image.ts';

const image: RgbImage = { width: 5, height: 4, data: Uint8Array.from({ length: 60 }, (_, index) => index) };
const side = fc.integer({ min: 1, max: 300 });

describe('crop', () => {
  it('takes the pixels of the box', () => {
    const { data } = crop(image, { top: 1, left: 2, width: 2, height: 2 });
    expect([...data]).toEqual([21, 22, 23, 24, 25, 26, 36, 37, 38, 39, 40, 41]);
    expect(crop(image, { top: 0, left: 0, width: 5, height: 4 })).toEqual(image);
  });

  it.each([
    { top: 3, left: 0, width: 1, height: 2 },
    { top: 0, left: -1, width: 1, height: 1 },
    { top: 0.5, left: 0, width: 1, height: 1 },
  ])('refuses a box that is not within the image: %o', (box) => {
    expect(() => crop(image, box)).toThrow(/expected one within 5×4 pixels/);
  });
});

describe('drawCropBox', () => {
  it('stays within the image, the area and the shape', () => {
    fc.assert(
      fc.property(side, side, fc.integer(), (width, height, seed) => {
        const box = drawCropBox({ width, height }, seededRandom(seed));
        expect(box.top).toBeGreaterThanOrEqual(0);
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
        expect(Math.min(box.width, box.height)).toBeGreaterThanOrEqual(1);
        if (Math.min(width, height) < 100 || Math.max(width, height) > 130) return; // rounding, or the middle of a long image
        const share = (box.width * box.height) / (width * height);
        expect(share).toBeGreaterThan(0.48);
        expect(box.width / box.height).toBeGreaterThan(0.73);
        expect(box.width / box.height).toBeLessThan(1.37);
      }),
    );
  });

  it('reaches every corner, and gives the same box for the same seed', () => {
    const random = seededRandom(1);
    const boxes = Array.from({ length: 2000 }, () => drawCropBox({ width: 20, height: 20 }, random));
    expect(Math.min(...boxes.map(({ top }) => top))).toBe(0);
    expect(Math.max(...boxes.map(({ top, height }) => top + height))).toBe(20);
    expect(Math.max(...boxes.map(({ left, width }) => left + width))).toBe(20);
    expect(drawCropBox({ width: 20, height: 20 }, seededRandom(1))).toEqual(boxes[0]);
  });

  it('takes the middle where nothing fits', () => {
    const size = { width: 100, height: 10 }; // half its area has another shape than 3/4 to 4/3
    expect(drawCropBox(size, seededRandom(2))).toEqual({ width: 13, height: 10, top: 0, left: 43 });
    expect(drawCropBox({ width: 10, height: 100 }, seededRandom(2))).toEqual({ width: 10, height: 13, top: 43, left: 0 });
  });
});

describe('augmentForTraining', () => {
  const size = { width: 3, height: 3 };

  it('crops, resizes and mirrors, as the draws say', () => {
    const seen = (flipProbability: number): RgbImage => augmentForTraining(image, size, seededRandom(4), { flipProbability });
    const expected = resizeBicubic(crop(image, drawCropBox(image, seededRandom(4))), size);
    expect(seen(0)).toEqual(expected);
    expect(seen(1)).toEqual(flipHorizontally(expected));
  });

  it('mirrors half of the images', () => {
    const random = seededRandom(5);
    const asymmetric: RgbImage = { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 255, 255, 255) };
    const whole = { scale: [1, 1], aspectRatio: [2, 2] } as const;
    const flipped = Array.from({ length: 1000 }, () => augmentForTraining(asymmetric, asymmetric, random, whole).data[0] === 255);
    expect(Math.abs(flipped.filter(Boolean).length - 500)).toBeLessThan(60);
  });
});
