import { ImageError, seededRandom } from '@blip2/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { augmentForTraining } from '../augment.ts';
import type { RgbImage } from '../rgb-image.ts';
import { rotate, shearX, shearY, translateX, translateY } from './affine.ts';
import { applyRandAugmentOperation, RAND_AUGMENT_OPERATIONS, randAugment, type RandAugmentOperation } from './rand-augment.ts';
import { sharpen } from './sharpness.ts';
import { autoContrast, brighten, equalize } from './tone.ts';

const side = fc.integer({ min: 1, max: 12 });
const images: fc.Arbitrary<RgbImage> = fc
  .tuple(side, side)
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((data) => ({ width, height, data: Uint8Array.from(data) })),
  );

/** Each byte differs, none is black. */
const image: RgbImage = { width: 8, height: 6, data: Uint8Array.from({ length: 144 }, (_, index) => 40 + ((index * 61) % 151)) };

/** Draws that are given one after the other. */
function scripted(...draws: readonly number[]): () => number {
  const left = [...draws];
  return () => left.shift()!;
}

/** A draw that chooses an operation. */
function choose(operation: RandAugmentOperation): number {
  return (RAND_AUGMENT_OPERATIONS.indexOf(operation) + 0.5) / RAND_AUGMENT_OPERATIONS.length;
}

describe('randAugment', () => {
  it('draws operations, then whether and to which side each is applied', () => {
    const [skipped, applied, negative, positive] = [0.5, 0.49, 0.49, 0.5];
    const both = randAugment(image, scripted(choose('rotate'), choose('shearX'), applied, positive, applied, negative));
    expect(both).toEqual(shearX(rotate(image, 15), -0.15));
    expect(randAugment(image, scripted(choose('rotate'), choose('shearX'), skipped, skipped))).toBe(image);
    const last = randAugment(image, scripted(choose('translateY'), choose('equalize'), skipped, applied, positive));
    expect(last).toEqual(equalize(image));
  });

  it('does at magnitude 5 what the reference does', () => {
    const at5 = (operation: RandAugmentOperation, direction: 1 | -1 = 1): RgbImage =>
      applyRandAugmentOperation(image, operation, direction);
    expect(at5('identity')).toBe(image);
    expect(at5('brightness')).toEqual(image); // factor 1
    expect(at5('sharpness')).toEqual(image);
    expect(at5('autoContrast').data.every((byte) => byte === 255)).toBe(true); // no black: the negated byte wraps around
    expect(applyRandAugmentOperation(image, 'autoContrast', 1, { overflow: 'clip' })).toEqual(autoContrast(image));
    expect(at5('shearX', -1)).toEqual(shearX(image, -0.15));
    expect(at5('shearY')).toEqual(shearY(image, 0.15));
    expect(at5('translateX')).toEqual(translateX(image, 5));
    expect(at5('translateY', -1)).toEqual(translateY(image, -5));
    expect(at5('rotate', -1)).toEqual(rotate(image, -15));
  });

  it('goes as far as the magnitude says', () => {
    expect(applyRandAugmentOperation(image, 'brightness', 1, { magnitude: 0 })).toEqual(brighten(image, 0.1));
    expect(applyRandAugmentOperation(image, 'sharpness', 1, { magnitude: 10, overflow: 'clip' })).toEqual(
      sharpen(image, 1.9000000000000001),
    );
    const fill = [255, 0, 0] as const;
    expect(applyRandAugmentOperation(image, 'rotate', 1, { magnitude: 10, fill })).toEqual(rotate(image, 30, fill));
  });

  it('reaches every operation about equally often, and gives the same images for the same seed', () => {
    const random = seededRandom(3);
    const counts = new Map<string, number>();
    const operations = RAND_AUGMENT_OPERATIONS.filter((one) => /shear|translate|rotate|equalize/.test(one));
    for (let turn = 0; turn < 600; turn++) {
      const seen = randAugment(image, random, { count: 1, probability: 1, operations }).data.join();
      counts.set(seen, (counts.get(seen) ?? 0) + 1);
    }
    expect(counts.size).toBe(11); // equalize, and the others to both sides
    expect(Math.min(...counts.values())).toBeGreaterThan(25); // 50 expected
    expect(Math.max(...counts.values())).toBeLessThan(140); // 100 expected of equalize
    expect(randAugment(image, seededRandom(9))).toEqual(randAugment(image, seededRandom(9)));
  });

  it('keeps sizes and leaves its input alone', () => {
    fc.assert(
      fc.property(images, fc.integer(), fc.integer({ min: 0, max: 10 }), (any, seed, magnitude) => {
        const before = any.data.slice();
        const seen = randAugment(any, seededRandom(seed), { count: 4, magnitude, probability: 1 });
        expect(any.data).toEqual(before);
        expect([seen.width, seen.height, seen.data.length]).toEqual([any.width, any.height, any.data.length]);
      }),
    );
  });

  it.each([
    [{ magnitude: 11 }, 'magnitude is 11, expected 0 to 10'],
    [{ count: -1 }, 'count is -1 of 10 operations'],
    [{ operations: [] }, 'count is 2 of 0 operations'],
  ])('refuses %o', (options, message) => {
    const work = (): unknown => randAugment(image, () => 0.3, options);
    expect(work).toThrow(ImageError);
    expect(work).toThrow(message);
  });
});

describe('properties', () => {
  it('amounts of nothing change nothing', () => {
    fc.assert(
      fc.property(images, (any) => {
        for (const work of [shearX, shearY, translateX, translateY, rotate]) expect(work(any, 0)).toEqual(any);
        expect(brighten(any, 1)).toEqual(any);
        expect(sharpen(any, 1)).toEqual(any);
      }),
    );
  });

  it('a shift by whole pixels moves them and fills the gap', () => {
    const fill = [1, 2, 3] as const;
    const moved = translateX(image, 3, fill);
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * 24, y * 24 + 24);
      expect([...moved.data.subarray(y * 24, y * 24 + 24)]).toEqual([...row.subarray(9), ...fill, ...fill, ...fill]);
    }
    expect([...translateY(image, -6, fill).data]).toEqual(Array.from({ length: 48 }, () => [...fill]).flat());
  });

  it('shears and shifts to the sides are those downwards of the image turned over', () => {
    const turned = ({ width, height, data }: RgbImage): RgbImage => ({
      width: height,
      height: width,
      data: Uint8Array.from(data, (_, index) => {
        const [pixel, channel] = [Math.floor(index / 3), index % 3];
        return data[((pixel % height) * width + Math.floor(pixel / height)) * 3 + channel]!;
      }),
    });
    fc.assert(
      fc.property(images, fc.double({ min: -0.3, max: 0.3, noNaN: true }), (any, amount) => {
        expect(turned(shearY(turned(any), amount))).toEqual(shearX(any, amount));
        expect(turned(translateY(turned(any), amount * 10))).toEqual(translateX(any, amount * 10));
      }),
    );
  });

  it('auto contrast uses all levels, and leaves a channel of one', () => {
    fc.assert(
      fc.property(images, (any) => {
        const spread = autoContrast(any);
        for (let channel = 0; channel < 3; channel++) {
          const [before, after] = [any, spread].map(({ data }) => data.filter((_, index) => index % 3 === channel)) as [
            Uint8Array,
            Uint8Array,
          ];
          if (new Set(before).size === 1) {
            expect(after).toEqual(before);
            continue;
          }
          expect(Math.min(...after)).toBe(0);
          expect(Math.max(...after)).toBeGreaterThanOrEqual(254); // 254.99… is cut off, in Pillow too
          if (Math.min(...before) > 0) continue;
          expect(autoContrast(any, 'wrap').data.filter((_, index) => index % 3 === channel)).toEqual(after); // nothing wraps
        }
      }),
    );
  });

  it('refuses amounts that are not numbers', () => {
    expect(() => rotate(image, Number.NaN)).toThrow('rotate: the amount is not a finite number');
    expect(() => shearX({ ...image, width: 3 }, 0)).toThrow('shearX: image is 3×6 with data of 144 bytes');
  });
});

describe('augmentForTraining', () => {
  const size = { width: 9, height: 9 };

  it('changes images last, when asked to, with draws of its own after the others', () => {
    const random = seededRandom(11);
    const plain = augmentForTraining(image, size, random);
    expect(augmentForTraining(image, size, seededRandom(11), { randAugment: true })).toEqual(randAugment(plain, random));
    expect(augmentForTraining(image, size, seededRandom(11), { randAugment: false })).toEqual(plain);
    const equalized = { randAugment: { operations: ['equalize'], probability: 1 } } as const;
    expect(augmentForTraining(image, size, seededRandom(11), equalized)).toEqual(equalize(equalize(plain)));
  });
});
