import { type RunOptions, withTensorScope } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor3D } from '@tensorflow/tfjs-core';
import type { Blip2 } from './blip2.ts';
import { encodeImages, type ImageSource, readImage } from './image-input.ts';

/** Features of images that are looked at more than once, kept in ordinary memory while they fit. */
export class FeatureCache<Image> {
  readonly #model: Blip2;
  readonly #read: (image: Image) => ImageSource | Promise<ImageSource>;
  readonly #kept: Map<Image, { readonly shape: [number, number, number]; readonly values: Float32Array }> = new Map();
  #freeBytes: number;

  /** @param sizeBytes - Of all features that are kept; those that do not fit are computed again. */
  constructor(model: Blip2, read: (image: Image) => ImageSource | Promise<ImageSource>, sizeBytes: number) {
    this.#model = model;
    this.#read = read;
    this.#freeBytes = sizeBytes;
  }

  /** Runs `compute` with the features `[1, tokens, width]` of one image, and frees them. */
  async use<Result>(image: Image, options: RunOptions, compute: (features: Tensor3D) => Promise<Result>): Promise<Result> {
    options.abortSignal?.throwIfAborted();
    return withTensorScope(async (scope) => {
      const kept = this.#kept.get(image);
      const features = scope.own(kept === undefined ? await this.#encode(image, options) : tf.tensor3d(kept.values, kept.shape)); // [1, tokens, width]
      return compute(features);
    });
  }

  async #encode(image: Image, options: RunOptions): Promise<Tensor3D> {
    const pixels = await readImage(this.#model, await this.#read(image), options);
    const features = await encodeImages(this.#model, [pixels], options); // [1, tokens, width]
    const sizeBytes = 4 * features.size;
    if (sizeBytes <= this.#freeBytes) {
      this.#freeBytes -= sizeBytes;
      this.#kept.set(image, { shape: features.shape, values: (await features.data<'float32'>()) as Float32Array });
    }
    return features;
  }
}
