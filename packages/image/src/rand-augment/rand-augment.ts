import { ImageError, type Random } from '@blip2/core';
import { assertRgbImage, type RgbImage } from '../rgb-image.ts';
import { GREY, rotate, shearX, shearY, translateX, translateY, type FillColor } from './affine.ts';
import { sharpen } from './sharpness.ts';
import { autoContrast, brighten, equalize, type Overflow } from './tone.ts';

/** What {@link randAugment} draws from, in the order of the reference. */
export const RAND_AUGMENT_OPERATIONS = [
  'identity',
  'autoContrast',
  'brightness',
  'sharpness',
  'equalize',
  'shearX',
  'shearY',
  'translateX',
  'translateY',
  'rotate',
] as const;

/** One of {@link RAND_AUGMENT_OPERATIONS}. */
export type RandAugmentOperation = (typeof RAND_AUGMENT_OPERATIONS)[number];

/** How much {@link randAugment} changes an image. */
export interface RandAugmentOptions {
  /** Operations drawn for an image, with replacement. @default 2 */
  readonly count?: number;
  /** How far each goes, 0 to 10. At 5, brightness and sharpness change nothing, as in the reference. @default 5 */
  readonly magnitude?: number;
  /** How likely a drawn operation is applied. @default 0.5 */
  readonly probability?: number;
  /** What is drawn from. @default all */
  readonly operations?: readonly RandAugmentOperation[];
  /** Colour of the gaps. @default grey, 128 */
  readonly fill?: FillColor;
  /**
   * What becomes of bytes that overflow in `autoContrast` and `sharpness`. The reference lets them wrap around, which makes channels
   * without black white; `'clip'` is what it means to do, and what Pillow does. @default 'wrap'
   */
  readonly overflow?: Overflow;
}

/** The largest magnitude, and what operations do there. Source: LAVIS `randaugment.py`, `MAX_LEVEL` and `*_level_to_args`. */
const LARGEST_MAGNITUDE = 10;
const LARGEST_SHEAR = 0.3;
const LARGEST_OFFSET = 10;
const LARGEST_ANGLE = 30;

/**
 * An image after some operations drawn by chance: tones, sharpness, slants, moves, turns.
 *
 * @param random - Uniform in [0, 1); a seeded one gives the same image again.
 * @returns an image of the same size: a new one, or the one passed when nothing was applied.
 * @throws {ImageError} when the image or an option is malformed.
 *
 * Source: RandAugment (arXiv 1909.13719); LAVIS `randaugment.py`, `RandomAugment(2, 5)` as `blip_image_train` calls it. Its operations
 * give the same bytes with OpenCV 4; its draws, which come from NumPy's global generator, are other ones.
 */
export function randAugment(image: RgbImage, random: Random, options: RandAugmentOptions = {}): RgbImage {
  assertRgbImage(image, 'randAugment: image');
  const { count = 2, probability = 0.5, operations = RAND_AUGMENT_OPERATIONS } = options;
  if (!Number.isSafeInteger(count) || count < 0 || operations.length === 0) {
    throw new ImageError(
      `randAugment: count is ${count} of ${operations.length} operations, expected a whole number, 0 or more, of at least one operation. Correct the options.`,
    );
  }
  const drawn = Array.from({ length: count }, () => operations[Math.floor(random() * operations.length)]!);
  return drawn.reduce((seen, operation) => {
    if (random() >= probability) return seen;
    return applyRandAugmentOperation(seen, operation, random() < 0.5 ? -1 : 1, options);
  }, image);
}

/**
 * One operation of {@link randAugment}.
 *
 * @param direction - To which side it shears, moves or turns.
 * @returns an image of the same size: a new one, or the one passed for `'identity'`.
 * @throws {ImageError} when the image is malformed or the magnitude is not within 0 to 10.
 */
export function applyRandAugmentOperation(
  image: RgbImage,
  operation: RandAugmentOperation,
  direction: 1 | -1,
  { magnitude = 5, fill = GREY, overflow = 'wrap' }: RandAugmentOptions = {},
): RgbImage {
  if (!(magnitude >= 0 && magnitude <= LARGEST_MAGNITUDE)) {
    throw new ImageError(`randAugment: magnitude is ${magnitude}, expected 0 to ${LARGEST_MAGNITUDE}. Correct the option.`);
  }
  const share = magnitude / LARGEST_MAGNITUDE;
  const enhancement = share * 1.8 + 0.1;
  switch (operation) {
    case 'identity':
      return image;
    case 'autoContrast':
      return autoContrast(image, overflow);
    case 'equalize':
      return equalize(image);
    case 'brightness':
      return brighten(image, enhancement);
    case 'sharpness':
      return sharpen(image, enhancement, overflow);
    case 'shearX':
      return shearX(image, direction * share * LARGEST_SHEAR, fill);
    case 'shearY':
      return shearY(image, direction * share * LARGEST_SHEAR, fill);
    case 'translateX':
      return translateX(image, direction * share * LARGEST_OFFSET, fill);
    case 'translateY':
      return translateY(image, direction * share * LARGEST_OFFSET, fill);
    case 'rotate':
      return rotate(image, direction * share * LARGEST_ANGLE, fill);
  }
}
