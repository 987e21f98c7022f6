import { ImageError, seededRandom } from '@blip2/core';
import { type AugmentationOptions, augmentForTraining, type ImageSize, resizeBicubic, type RgbImage } from '@blip2/image';
import { decodeImage } from '@blip2/image/node';

/** One image's way to pixels; plain data, for it goes to another thread. */
export interface PixelTask {
  /** The encoded file. */
  readonly bytes: Uint8Array;
  /** What messages call it. */
  readonly name: string;
  readonly size: ImageSize;
  /** Decides crop and mirroring. */
  readonly seed: number;
  /** `undefined` squeezes the whole image to the size, as evaluation does. */
  readonly augmentation: AugmentationOptions | undefined;
  readonly maxPixels: number | undefined;
}

/** Pixels, or what is wrong with the image: errors of ours lose their class between threads. */
export type PixelResult = { readonly image: RgbImage } | { readonly problem: string };

/** Decodes and augments. A function of the task alone, on whatever thread it runs. */
export async function preparePixels({ bytes, name, size, seed, augmentation, maxPixels }: PixelTask): Promise<PixelResult> {
  try {
    const image = await decodeImage(bytes, { maxPixels, name });
    if (augmentation === undefined) return { image: resizeBicubic(image, size) };
    return { image: augmentForTraining(image, size, seededRandom(seed), augmentation) };
  } catch (cause) {
    if (ImageError.isInstance(cause)) return { problem: cause.message };
    throw cause;
  }
}
