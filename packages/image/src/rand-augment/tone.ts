import { assertRgbImage, type RgbImage } from '../rgb-image.ts';

/**
 * What becomes of a byte that grows too large or too small: `'wrap'` takes it modulo 256, as the reference's arithmetic on unsigned
 * bytes does; `'clip'` takes the nearest byte, as Pillow does.
 */
export type Overflow = 'wrap' | 'clip';

const LEVELS = 256;

/**
 * Spreads each channel over all levels: its darkest byte becomes 0, its brightest 255.
 *
 * @param overflow - With `'wrap'` a channel without black becomes 255 everywhere: the reference negates its darkest byte as a byte, so the
 *   offset is too large by 256 levels. With `'clip'` the result is that of `PIL.ImageOps.autocontrast`.
 * @returns a new image.
 * @throws {ImageError} when the image is malformed.
 *
 * Source: LAVIS `randaugment.py`, `autocontrast_func`.
 */
export function autoContrast(image: RgbImage, overflow: Overflow = 'clip'): RgbImage {
  assertRgbImage(image, 'autoContrast: image');
  return mapChannels(image, (histogram) => {
    const low = histogram.findIndex((count) => count > 0);
    const high = histogram.findLastIndex((count) => count > 0);
    if (high <= low) return undefined;
    const scale = (LEVELS - 1) / (high - low);
    const offset = (overflow === 'wrap' ? (LEVELS - low) % LEVELS : -low) * scale;
    return tableOf((level) => level * scale + offset);
  });
}

/**
 * Gives each channel a histogram that is as even as can be.
 *
 * @returns a new image, equal to that of `PIL.ImageOps.equalize`.
 * @throws {ImageError} when the image is malformed.
 *
 * Source: LAVIS `randaugment.py`, `equalize_func`.
 */
export function equalize(image: RgbImage): RgbImage {
  assertRgbImage(image, 'equalize: image');
  const pixels = image.width * image.height;
  return mapChannels(image, (histogram) => {
    const brightest = histogram.findLast((count) => count > 0)!;
    const step = Math.floor((pixels - brightest) / (LEVELS - 1));
    if (step === 0) return undefined;
    let darker = Math.floor(step / 2);
    return tableOf((level) => {
      const equalized = Math.floor(darker / step);
      darker += histogram[level]!;
      return equalized;
    });
  });
}

/**
 * Multiplies all bytes: 0 is black, 1 changes nothing.
 *
 * @returns a new image.
 * @throws {ImageError} when the image is malformed.
 *
 * Source: LAVIS `randaugment.py`, `brightness_func`.
 */
export function brighten(image: RgbImage, factor: number): RgbImage {
  assertRgbImage(image, 'brighten: image');
  const factor32 = Math.fround(factor); // the reference's table is of float32
  const table = tableOf((level) => Math.fround(level * factor32));
  return { ...image, data: image.data.map((byte) => table[byte]!) };
}

/** Cut off after the point and clipped. */
function tableOf(valueAt: (level: number) => number): Uint8Array {
  return Uint8Array.from({ length: LEVELS }, (_, level) => Math.min(LEVELS - 1, Math.max(0, Math.trunc(valueAt(level)))));
}

/** @param makeTable - Makes what replaces the bytes of a channel of its histogram; `undefined` leaves the channel. */
function mapChannels({ width, height, data }: RgbImage, makeTable: (histogram: number[]) => Uint8Array | undefined): RgbImage {
  const mapped = data.slice();
  for (let channel = 0; channel < 3; channel++) {
    const histogram = Array<number>(LEVELS).fill(0);
    for (let index = channel; index < data.length; index += 3) histogram[data[index]!]!++;
    const table = makeTable(histogram);
    if (table === undefined) continue;
    for (let index = channel; index < data.length; index += 3) mapped[index] = table[data[index]!]!;
  }
  return { width, height, data: mapped };
}
