import { assertRgbImage, type RgbImage } from '../rgb-image.ts';
import type { Overflow } from './tone.ts';

/** The smoothing kernel has 5 in the middle and 1 around it. */
const MIDDLE_WEIGHT = 5;
const KERNEL_SUM = 13;

/**
 * Moves an image away from its smoothed form, or towards it: 1 changes nothing, less smooths, more sharpens. The outermost pixels stay
 * as they are, except with 0, where all are smoothed.
 *
 * @param overflow - Only beyond 1 do bytes overflow, at strong edges; with `'wrap'` they become specks, as in the reference.
 * @returns a new image.
 * @throws {ImageError} when the image is malformed.
 *
 * Source: LAVIS `randaugment.py`, `sharpness_func`; smoothing as OpenCV's `filter2D` and Pillow's `SMOOTH` do it.
 */
export function sharpen(image: RgbImage, factor: number, overflow: Overflow = 'clip'): RgbImage {
  assertRgbImage(image, 'sharpen: image');
  const { width, height, data } = image;
  if (factor === 1) return { width, height, data: data.slice() };
  const smooth = smoothed(image);
  if (factor === 0) return { width, height, data: smooth };
  const factor32 = Math.fround(factor);
  const sharpened = data.slice();
  for (let y = 1; y < height - 1; y++) {
    for (let index = (y * width + 1) * 3; index < (y * width + width - 1) * 3; index++) {
      const degenerate = smooth[index]!;
      // float32 at each step, as the reference; then cut off after the point.
      const value = Math.trunc(Math.fround(degenerate + Math.fround(factor32 * (data[index]! - degenerate))));
      sharpened[index] = overflow === 'wrap' ? value & 0xff : Math.min(255, Math.max(0, value));
    }
  }
  return { width, height, data: sharpened };
}

/** Beyond an edge the image goes on mirrored, without its outermost row or column (OpenCV's BORDER_REFLECT_101). */
function smoothed({ width, height, data }: RgbImage): Uint8Array {
  const smooth = new Uint8Array(data.length);
  const stride = width * 3;
  const columns = new Int32Array(stride); // the sum of each column of three
  for (let y = 0; y < height; y++) {
    const above = reflect(y - 1, height) * stride;
    const below = reflect(y + 1, height) * stride;
    for (let index = 0; index < stride; index++)
      columns[index] = data[above + index]! + data[y * stride + index]! + data[below + index]!;
    for (let x = 0, index = 0; x < width; x++) {
      const left = reflect(x - 1, width) * 3;
      const right = reflect(x + 1, width) * 3;
      for (let channel = 0; channel < 3; channel++, index++) {
        const sum =
          columns[left + channel]! +
          columns[index]! +
          columns[right + channel]! +
          (MIDDLE_WEIGHT - 1) * data[y * stride + index]!;
        // A sum of thirteenths is never halfway between two bytes, so all ways of rounding agree.
        smooth[y * stride + index] = Math.round(sum / KERNEL_SUM);
      }
    }
  }
  return smooth;
}

function reflect(position: number, size: number): number {
  if (size === 1) return 0;
  if (position < 0) return -position;
  return position < size ? position : 2 * size - 2 - position;
}
