import { readGolden } from '@blip2/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resizeBicubic } from './resize-bicubic.ts';
import type { ImageSize, RgbImage } from './rgb-image.ts';

function kernel(position: number): number {
  const x = Math.abs(position);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? -0.5 * (((x - 5) * x + 8) * x - 4) : 0;
}

function naiveSample(read: (at: number) => number, inSize: number, outSize: number, at: number): number {
  if (inSize === outSize) return read(at);
  const scale = inSize / outSize;
  const stretch = Math.max(1, scale);
  const center = (at + 0.5) * scale;
  const first = Math.max(0, Math.trunc(center - 2 * stretch + 0.5));
  const end = Math.min(inSize, Math.trunc(center + 2 * stretch + 0.5));
  const places = Array.from({ length: end - first }, (_, tap) => first + tap);
  const weights = places.map((place) => kernel((place - center + 0.5) * (1 / stretch)));
  const total = weights.reduce((left, right) => left + right, 0);
  const fixed = weights.map((weight) => Math.trunc((weight / total) * 2 ** 22 + (weight / total < 0 ? -0.5 : 0.5)));
  const level = places.reduce((partial, place, tap) => partial + read(place) * fixed[tap]!, 2 ** 21);
  return Math.min(255, Math.max(0, Math.floor(level / 2 ** 22)));
}

/** The formulas of Pillow's resampler, one pixel at a time, sums in float64 (exact below 2^53). */
function naiveResize(image: RgbImage, size: ImageSize): RgbImage {
  const narrow = new Uint8Array(image.height * size.width * 3);
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < size.width; x++)
      for (let channel = 0; channel < 3; channel++)
        narrow[(y * size.width + x) * 3 + channel] = naiveSample(
          (column) => image.data[(y * image.width + column) * 3 + channel]!,
          image.width,
          size.width,
          x,
        );
  const data = new Uint8Array(size.height * size.width * 3);
  for (let y = 0; y < size.height; y++)
    for (let i = 0; i < size.width * 3; i++)
      data[y * size.width * 3 + i] = naiveSample((row) => narrow[row * size.width * 3 + i]!, image.height, size.height, y);
  return { ...size, data };
}

/** Half a turn. */
function turned(image: RgbImage): RgbImage {
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 3) data.set(image.data.subarray(data.length - i - 3, data.length - i), i);
  return { ...image, data };
}

function channelOf({ data }: RgbImage, which: number): number[] {
  return [...data].filter((_, i) => i % 3 === which);
}

function sum({ data }: RgbImage): number {
  return data.reduce((total, value) => total + value, 0);
}

const side = fc.integer({ min: 1, max: 40 });
const randomImage = fc
  .tuple(side, side)
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((data) => ({ width, height, data }) satisfies RgbImage),
  );
const randomSize = fc.record({ width: side, height: side });

describe('resizeBicubic', () => {
  it('equals the one-pixel-at-a-time formulas on random images, larger and smaller', () => {
    fc.assert(
      fc.property(randomImage, randomSize, (image, size) => {
        expect(resizeBicubic(image, size)).toEqual(naiveResize(image, size));
      }),
      { numRuns: 150 },
    );
  });

  it('returns equal bytes, in a new array, when the size stays', () => {
    fc.assert(
      fc.property(randomImage, (image) => {
        const same = resizeBicubic(image, { width: image.width, height: image.height });
        expect(same).toEqual(image);
        expect(same.data).not.toBe(image.data);
      }),
      { numRuns: 20 },
    );
  });

  it('leaves its input alone and keeps one colour one colour', () => {
    fc.assert(
      fc.property(randomSize, randomSize, fc.integer({ min: 0, max: 255 }), (from, to, level) => {
        const image = { ...from, data: new Uint8Array(from.width * from.height * 3).fill(level) };
        expect(resizeBicubic(image, to).data.every((value) => value === level)).toBe(true);
        expect(image.data.every((value) => value === level)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('turns its output by 180° when the input is turned', () => {
    const image = { width: 9, height: 6, data: Uint8Array.from({ length: 9 * 6 * 3 }, (_, i) => (i * 37) % 256) };
    const size = { width: 3, height: 2 };
    expect(resizeBicubic(turned(image), size)).toEqual(turned(resizeBicubic(image, size)));
  });

  it.each([
    [{ width: 0, height: 7 }, 'size has width 0'],
    [{ width: 7.5, height: 7 }, 'size has width 7.5'],
  ])('refuses the size %o', (size, message) => {
    expect(() => resizeBicubic({ width: 1, height: 1, data: new Uint8Array(3) }, size)).toThrow(message);
  });
});

describe('resizeBicubic against Pillow', () => {
  const ops = readGolden('models/ops');
  const cases = ops.json.resize as { index: number; from_hw: number[]; to_hw: number[] }[];

  it.each(cases)('noise $from_hw to $to_hw', ({ index, to_hw: [height, width] }) => {
    const input = ops.get(`pil_bicubic.${index}.input`);
    const image = { width: input.shape[1]!, height: input.shape[0]!, data: input.data as Uint8Array };
    expect(resizeBicubic(image, { width: width!, height: height! }).data).toEqual(ops.get(`pil_bicubic.${index}.output`).data);
  });

  /** H = 20, W = 30, R = (7x + 13y) mod 256, G = (x² + 3y) mod 256, B = (5xy + 11) mod 256. */
  const pattern: RgbImage = { width: 30, height: 20, data: new Uint8Array(30 * 20 * 3) };
  for (let y = 0; y < 20; y++)
    for (let x = 0; x < 30; x++) pattern.data.set([7 * x + 13 * y, x * x + 3 * y, 5 * x * y + 11], (y * 30 + x) * 3);
  it('shrinks the published pattern to 7×7', () => {
    const small = resizeBicubic(pattern, { width: 7, height: 7 });
    expect(channelOf(small, 0).slice(0, 7)).toEqual([25, 54, 84, 114, 145, 175, 208]);
    expect(channelOf(small, 0).slice(-7)).toEqual([190, 40, 40, 79, 110, 140, 169]);
    expect(channelOf(small, 2).slice(0, 7)).toEqual([20, 40, 68, 92, 97, 107, 76]);
    expect(sum(small)).toBe(17194);
  });

  it('enlarges the published pattern to 40×40', () => {
    const large = resizeBicubic(pattern, { width: 40, height: 40 });
    expect(channelOf(large, 0).slice(0, 8)).toEqual([0, 3, 9, 14, 19, 24, 30, 35]);
    expect([...large.data.subarray((20 * 40 + 20) * 3, (20 * 40 + 21) * 3)]).toEqual([231, 255, 253]);
    expect(sum(large)).toBe(556647);
  });
});
