import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyExifOrientation, centerCrop, type ExifOrientation, INVERSE_ORIENTATION, type RgbImage } from './rgb-image.ts';

/** One grey level a pixel, so that a picture can be written as its rows. */
function picture(rows: readonly (readonly number[])[]): RgbImage {
  return {
    width: rows[0]!.length,
    height: rows.length,
    data: Uint8Array.from(rows.flat().flatMap((level) => [level, level, level])),
  };
}

const randomImage = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([width, height]) =>
    fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }).map((data) => ({ width, height, data })),
  );

describe('applyExifOrientation', () => {
  const stored = picture([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  /** What a viewer shows: the first row and column of the stored picture go where the EXIF standard says. */
  const shown: Readonly<Record<ExifOrientation, readonly (readonly number[])[]>> = {
    1: [[1, 2, 3], [4, 5, 6]], // prettier-ignore
    2: [[3, 2, 1], [6, 5, 4]], // prettier-ignore
    3: [[6, 5, 4], [3, 2, 1]], // prettier-ignore
    4: [[4, 5, 6], [1, 2, 3]], // prettier-ignore
    5: [[1, 4], [2, 5], [3, 6]], // prettier-ignore
    6: [[4, 1], [5, 2], [6, 3]], // prettier-ignore
    7: [[6, 3], [5, 2], [4, 1]], // prettier-ignore
    8: [[3, 6], [2, 5], [1, 4]], // prettier-ignore
  };

  it.each([1, 2, 3, 4, 5, 6, 7, 8] as const)('orientation %i', (orientation) => {
    expect(applyExifOrientation(stored, orientation)).toEqual(picture(shown[orientation]));
  });

  it('is undone by its inverse', () => {
    fc.assert(
      fc.property(randomImage, fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8), (image, orientation) => {
        const turned = applyExifOrientation(image, orientation as ExifOrientation);
        expect(applyExifOrientation(turned, INVERSE_ORIENTATION[orientation as ExifOrientation])).toEqual(image);
      }),
    );
  });
});

describe('centerCrop', () => {
  const image = picture([
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10, 11, 12],
  ]);

  it('cuts the middle; an odd remainder is left at the bottom and right', () => {
    expect(centerCrop(image, { height: 2, width: 2 })).toEqual(picture([[2, 3], [6, 7]])); // prettier-ignore
    expect(centerCrop(image, { height: 1, width: 3 })).toEqual(picture([[5, 6, 7]]));
  });

  it('surrounds a smaller image with black; an odd rest stands at the top and left', () => {
    const small = picture([[1, 2]]);
    expect(centerCrop(small, { height: 2, width: 5 })).toEqual(picture([[0, 0, 0, 0, 0], [0, 0, 1, 2, 0]])); // prettier-ignore
    expect(centerCrop(image, { height: 5, width: 2 })).toEqual(picture([[0, 0], [2, 3], [6, 7], [10, 11], [0, 0]])); // prettier-ignore
  });

  it('returns an equal image for its own size', () => {
    fc.assert(
      fc.property(randomImage, (random) => {
        expect(centerCrop(random, random)).toEqual(random);
      }),
    );
  });
});
