import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import fixture from '../../fixtures/rand_augment.json' with { type: 'json' };
import type { RgbImage } from '../rgb-image.ts';
import { rotate, shearX, shearY, translateX, translateY } from './affine.ts';
import { sharpen } from './sharpness.ts';
import { autoContrast, brighten, equalize } from './tone.ts';

/** One case of the fixture: bytes in base64, or `sha256` and its first 16 digits. */
type Case = [operation: string, amounts: number[], kind: string, width: number, height: number, expected: string];

const OPERATIONS: Readonly<Record<string, (image: RgbImage, amount: number) => RgbImage>> = {
  'autoContrast wrap': (image) => autoContrast(image, 'wrap'),
  'autoContrast clip': (image) => autoContrast(image),
  equalize,
  brighten,
  'sharpen wrap': (image, factor) => sharpen(image, factor, 'wrap'),
  'sharpen clip': (image, factor) => sharpen(image, factor),
  shearX: (image, factor) => shearX(image, factor),
  shearY: (image, factor) => shearY(image, factor),
  translateX: (image, offset) => translateX(image, offset),
  translateY: (image, offset) => translateY(image, offset),
  rotate: (image, degrees) => rotate(image, degrees),
};

/** The made-up images of `fixtures/make_rand_augment.py`, by the same formula. */
function picture(kind: string, width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, index) => {
    let mixed = (Math.imul(index, 2654435761) + 12345) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 15), 2246822519) >>> 0;
    const level = mixed >>> 24;
    if (kind === 'bright') return 30 + ((level * 171) >> 8);
    if (kind === 'dark') return (level * level) >> 8;
    return kind === 'flat' ? 40 + (index % 3) : level;
  });
  return { width, height, data };
}

const cases = (fixture.cases as Case[]).map(([operation, amounts, kind, width, height, expected]) => ({
  title: `${[operation, ...amounts].join(' ')}, ${kind}`,
  work: () => {
    const image = picture(kind, width, height);
    const before = image.data.slice();
    const result = OPERATIONS[operation]!(image, amounts[0]!);
    expect(image.data).toEqual(before); // inputs are left alone
    expect(result).toMatchObject({ width, height });
    expect(result.data).not.toBe(image.data);
    const found = expected.startsWith('sha256 ')
      ? `sha256 ${createHash('sha256').update(result.data).digest('hex').slice(0, 16)}`
      : Buffer.from(result.data).toString('base64');
    expect(found, `${width}×${height}`).toBe(expected);
  },
}));

describe(`the bytes of LAVIS with OpenCV ${fixture.source.opencv}, or of Pillow ${fixture.source.pillow}`, () => {
  it.each([...new Set(cases.map(({ title }) => title))])('%s', (title) => {
    for (const { work } of cases.filter((one) => one.title === title)) work();
  });
});
