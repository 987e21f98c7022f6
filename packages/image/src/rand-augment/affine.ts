import { ImageError } from '@blip2/core';
import { assertRgbImage, type RgbImage } from '../rgb-image.ts';

/** Red, green, blue where a moved image leaves a gap. */
export type FillColor = readonly [red: number, green: number, blue: number];

/** The colour of gaps in the reference. */
export const GREY: FillColor = [128, 128, 128];

/** Where a pixel (x, y) of the image goes: (a·x + b·y + c, d·x + e·y + f). */
type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/**
 * Slants an image to the side: a pixel in row y moves by `factor · y` to the right.
 *
 * @returns a new image of the same size, gaps in `fill`.
 * @throws {ImageError} when the image is malformed or the factor is not a number.
 *
 * Source: LAVIS `randaugment.py`, `shear_x_func`.
 */
export function shearX(image: RgbImage, factor: number, fill: FillColor = GREY): RgbImage {
  return warp(image, [1, Math.fround(factor), 0, 0, 1, 0], fill, 'shearX');
}

/** Slants an image downwards: a pixel in column x moves down by `factor · x`. Otherwise as {@link shearX}. */
export function shearY(image: RgbImage, factor: number, fill: FillColor = GREY): RgbImage {
  return warp(image, [1, 0, 0, Math.fround(factor), 1, 0], fill, 'shearY');
}

/** Moves an image to the left, by a negative offset to the right. Otherwise as {@link shearX}. */
export function translateX(image: RgbImage, offset: number, fill: FillColor = GREY): RgbImage {
  return warp(image, [1, 0, Math.fround(-offset), 0, 1, 0], fill, 'translateX');
}

/** Moves an image up, by a negative offset down. Otherwise as {@link shearX}. */
export function translateY(image: RgbImage, offset: number, fill: FillColor = GREY): RgbImage {
  return warp(image, [1, 0, 0, 0, 1, Math.fround(-offset)], fill, 'translateY');
}

/**
 * Turns an image about its middle, counter-clockwise.
 *
 * @returns a new image of the same size, gaps in `fill`.
 * @throws {ImageError} when the image is malformed or the angle is not a number.
 *
 * Source: LAVIS `randaugment.py`, `rotate_func`; OpenCV `getRotationMatrix2D`. The middle is half of width and height, half a pixel
 * beyond the middle of the pixels, as in the reference.
 */
export function rotate(image: RgbImage, degrees: number, fill: FillColor = GREY): RgbImage {
  const angle = (degrees * Math.PI) / 180;
  const cosine = Math.cos(angle);
  const sine = Math.sin(angle);
  const x = image.width / 2;
  const y = image.height / 2;
  return warp(image, [cosine, sine, (1 - cosine) * x - sine * y, -sine, cosine, sine * x + (1 - cosine) * y], fill, 'rotate');
}

/** Positions are counted in 1024ths while they add up, and in 32nds where pixels are mixed. */
const POSITION_SCALE = 1024;
const STEPS = 32;

/**
 * Each pixel of the result is mixed from the four nearest to where it comes from, in whole numbers throughout.
 *
 * Source: OpenCV 4, `warpAffine` and `remap` with INTER_LINEAR and BORDER_CONSTANT on 8 bits (`modules/imgproc/src/imgwarp.cpp`).
 * OpenCV 5 mixes in floats instead and differs by one now and then.
 */
function warp(image: RgbImage, forward: Affine, fill: FillColor, where: string): RgbImage {
  assertRgbImage(image, `${where}: image`);
  if (!forward.every(Number.isFinite)) {
    throw new ImageError(`${where}: the amount is not a finite number, expected one. Check what it was computed from.`);
  }
  const { width, height } = image;
  const [a, b, c, d, e, f] = inverse(forward);
  const data = new Uint8Array(width * height * 3);
  const acrossX = Int32Array.from({ length: width }, (_, x) => roundHalfToEven(a * x * POSITION_SCALE));
  const acrossY = Int32Array.from({ length: width }, (_, x) => roundHalfToEven(d * x * POSITION_SCALE));
  const half = POSITION_SCALE / STEPS / 2;
  for (let y = 0, to = 0; y < height; y++) {
    const startX = roundHalfToEven((b * y + c) * POSITION_SCALE) + half;
    const startY = roundHalfToEven((e * y + f) * POSITION_SCALE) + half;
    for (let x = 0; x < width; x++, to += 3) {
      // Of a 1024th, the lower five bits are dropped; of the 32nds that remain, five say how far it is to the next pixel.
      mixPixel(image, (startX + acrossX[x]!) >> 5, (startY + acrossY[x]!) >> 5, fill, data, to);
    }
  }
  return { width, height, data };
}

/** @param positionX - In 32nds of a pixel, as `positionY`. */
function mixPixel(
  { width, height, data }: RgbImage,
  positionX: number,
  positionY: number,
  fill: FillColor,
  target: Uint8Array,
  to: number,
): void {
  const x = positionX >> 5;
  const y = positionY >> 5;
  const right = positionX & (STEPS - 1);
  const below = positionY & (STEPS - 1);
  const hasLeft = x >= 0 && x < width;
  const hasRight = x >= -1 && x < width - 1;
  const hasTop = y >= 0 && y < height;
  const hasBottom = y >= -1 && y < height - 1;
  const from = (y * width + x) * 3;
  const under = from + width * 3;
  for (let channel = 0; channel < 3; channel++) {
    const gap = fill[channel]!;
    const topLeft = hasTop && hasLeft ? data[from + channel]! : gap;
    const topRight = hasTop && hasRight ? data[from + 3 + channel]! : gap;
    const bottomLeft = hasBottom && hasLeft ? data[under + channel]! : gap;
    const bottomRight = hasBottom && hasRight ? data[under + 3 + channel]! : gap;
    const top = topLeft * (STEPS - right) + topRight * right;
    const bottom = bottomLeft * (STEPS - right) + bottomRight * right;
    target[to + channel] = (top * (STEPS - below) + bottom * below + (STEPS * STEPS) / 2) >> 10;
  }
}

/** In the order of OpenCV's operations, so that the same bits come out. */
function inverse([a, b, c, d, e, f]: Affine): Affine {
  const determinant = a * e - b * d;
  const reciprocal = determinant === 0 ? 0 : 1 / determinant;
  const [ia, ib, id, ie] = [e * reciprocal, -b * reciprocal, -d * reciprocal, a * reciprocal];
  return [ia, ib, -ia * c - ib * f, id, ie, -id * c - ie * f];
}

function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
