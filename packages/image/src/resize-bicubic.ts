import { assertImageSize, assertRgbImage, type ImageSize, type RgbImage } from './rgb-image.ts';

/** Fixed point of the weights: 32 bits, less 8 for the pixel and 2 for the kernel's overshoot. Pillow `Resample.c`. */
const PRECISION_BITS = 32 - 8 - 2;
const HALF = 1 << (PRECISION_BITS - 1);

/** The bicubic kernel reaches two input pixels to each side, further when shrinking. */
const KERNEL_RADIUS = 2;

/** What each output position takes from the input: `counts[i]` pixels from `firsts[i]` on, weights at `i * taps`. */
interface AxisWeights {
  readonly taps: number;
  readonly firsts: Int32Array;
  readonly counts: Int32Array;
  readonly weights: Int32Array;
}

/**
 * Resizes as Pillow's `Image.resize(size, Image.Resampling.BICUBIC)` does on 8-bit RGB, to the bit: a = −0.5, low-pass
 * when shrinking, horizontal pass first, rounded to 8 bits between the passes. The aspect ratio is not kept.
 *
 * @param image - `[height, width, 3]` bytes; left alone.
 * @returns a new image of exactly `size`.
 * @throws {ImageError} when the image or the size is malformed.
 *
 * @example
 * const small = resizeBicubic(image, { width: 224, height: 224 });
 *
 * Source: Pillow 12, `src/libImaging/Resample.c`, the 8-bit paths.
 */
export function resizeBicubic(image: RgbImage, size: ImageSize): RgbImage {
  assertRgbImage(image, 'resizeBicubic: image');
  assertImageSize(size, 'resizeBicubic: size');
  const { width, height } = size;
  const narrow = width === image.width ? image.data : resizeRows(image, axisWeights(image.width, width), width);
  if (height === image.height) return { width, height, data: narrow === image.data ? image.data.slice() : narrow };
  return { width, height, data: resizeColumns(narrow, width * 3, axisWeights(image.height, height), height) };
}

/** Horizontal pass: `[height, width, 3]` to `[height, outWidth, 3]`. */
function resizeRows({ width, height, data }: RgbImage, axis: AxisWeights, outWidth: number): Uint8Array {
  const { taps, firsts, counts, weights } = axis;
  const out = new Uint8Array(height * outWidth * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let from = (y * width + firsts[x]!) * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let tap = x * taps, end = tap + counts[x]!; tap < end; tap++, from += 3) {
        const weight = weights[tap]!;
        red += Math.imul(weight, data[from]!);
        green += Math.imul(weight, data[from + 1]!);
        blue += Math.imul(weight, data[from + 2]!);
      }
      out[to++] = clampToByte(red >> PRECISION_BITS);
      out[to++] = clampToByte(green >> PRECISION_BITS);
      out[to++] = clampToByte(blue >> PRECISION_BITS);
    }
  }
  return out;
}

/** Vertical pass over rows of `rowLength` bytes. Whole rows are added up, so memory is read in order. */
function resizeColumns(data: Uint8Array, rowLength: number, axis: AxisWeights, outHeight: number): Uint8Array {
  const { taps, firsts, counts, weights } = axis;
  const out = new Uint8Array(outHeight * rowLength);
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < outHeight; y++) {
    sums.fill(HALF);
    for (let tap = 0; tap < counts[y]!; tap++) {
      const weight = weights[y * taps + tap]!;
      const from = (firsts[y]! + tap) * rowLength;
      for (let i = 0; i < rowLength; i++) sums[i] = sums[i]! + Math.imul(weight, data[from + i]!);
    }
    const to = y * rowLength;
    for (let i = 0; i < rowLength; i++) out[to + i] = clampToByte(sums[i]! >> PRECISION_BITS);
  }
  return out;
}

/** The weights of one axis in fixed point. The float64 operations are Pillow's, in Pillow's order. */
function axisWeights(inSize: number, outSize: number): AxisWeights {
  const scale = inSize / outSize;
  const filterScale = Math.max(scale, 1);
  const support = KERNEL_RADIUS * filterScale;
  const inverseFilterScale = 1 / filterScale;
  const taps = Math.ceil(support) * 2 + 1;
  const firsts = new Int32Array(outSize);
  const counts = new Int32Array(outSize);
  const weights = new Int32Array(outSize * taps);
  const exact = new Float64Array(taps);
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(inSize, Math.trunc(center + support + 0.5)) - first;
    let sum = 0;
    for (let tap = 0; tap < count; tap++) {
      const weight = bicubicKernel((tap + first - center + 0.5) * inverseFilterScale);
      exact[tap] = weight;
      sum += weight;
    }
    for (let tap = 0; tap < count; tap++) {
      const fixed = (exact[tap]! / sum) * 2 ** PRECISION_BITS;
      weights[i * taps + tap] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    firsts[i] = first;
    counts[i] = count;
  }
  return { taps, firsts, counts, weights };
}

/** Cubic convolution with a = −0.5. */
function bicubicKernel(position: number): number {
  const a = -0.5;
  const x = Math.abs(position);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function clampToByte(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
