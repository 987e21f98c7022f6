import { readGolden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { imageProcessorFromJson, imageProcessorOfSize } from './image-processor.ts';
import { preprocess } from './preprocess.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import type { RgbImage } from './rgb-image.ts';

const golden = readGolden('models/preprocessing');

function goldenImage(name: string, tensor = 'rgb'): RgbImage {
  const { shape, data } = golden.get(`${name}.${tensor}`);
  return { width: shape[1]!, height: shape[0]!, data: data as Uint8Array };
}

/** The fixtures hold `[3, height, width]`; compared without the batch axis. */
function channelsFirst(pixels: Tensor4D): Tensor {
  return tf.squeeze(tf.transpose(pixels, [0, 3, 1, 2]), [0]); // [3, imageHeight, imageWidth]
}

const withPixels = golden.names.filter((name) => name.endsWith('.rgb')).map((name) => name.slice(0, -'.rgb'.length));

describe('preprocess against transformers', () => {
  it('has the images it should', () => {
    expect(withPixels.toSorted()).toEqual([
      'exif_rotated',
      'gray',
      'gray_alpha',
      'gray_jpeg',
      'landscape',
      'palette',
      'rgba',
      'tiny',
    ]);
  });

  it.each(withPixels)('%s', (name) => {
    const image = goldenImage(name);
    expect(resizeBicubic(image, { width: 42, height: 42 }).data).toEqual(golden.get(`${name}.resized_42`).data);
    tf.tidy(() => {
      const pixels = channelsFirst(preprocess([image], imageProcessorOfSize(42)));
      // Not only within the tolerance: every float is the reference's.
      expect(pixels).toBeAllclose(golden.get(`${name}.pixel_values_42`), TOLERANCE.pixels);
      expect(pixels.dataSync()).toEqual(golden.get(`${name}.pixel_values_42`).data);
    });
  });

  it('an image whose EXIF orientation was applied first', () => {
    tf.tidy(() => {
      const pixels = channelsFirst(preprocess([goldenImage('exif_rotated', 'rgb_transposed')], imageProcessorOfSize(42)));
      expect(pixels).toBeAllclose(golden.get('exif_rotated.pixel_values_42_transposed'), TOLERANCE.pixels);
    });
  });

  it.each(['landscape', 'rgba'])('%s with a shortest edge and a centre crop, as CLIP has it', (name) => {
    const clip = imageProcessorFromJson({
      image_processor_type: 'CLIPImageProcessor',
      size: { shortest_edge: 42 },
      crop_size: 42,
    });
    tf.tidy(() => {
      const pixels = channelsFirst(preprocess([goldenImage(name)], clip));
      expect(pixels).toBeAllclose(golden.get(`${name}.clip_pixel_values_42`), TOLERANCE.pixels);
    });
  });

  it('larger inputs, square and not', () => {
    const model = readGolden('models/blip2-opt');
    tf.tidy(() => {
      const processor = imageProcessorOfSize(42);
      const square = preprocess([goldenImage('landscape'), goldenImage('rgba')], processor, { size: { height: 70, width: 70 } });
      expect(tf.transpose(square, [0, 3, 1, 2])).toBeAllclose(model.get('interp_70x70.pixel_values'), TOLERANCE.pixels);
      const wide = preprocess([goldenImage('gray')], processor, { size: { height: 56, width: 84 } });
      expect(tf.transpose(wide, [0, 3, 1, 2])).toBeAllclose(model.get('interp_56x84.pixel_values'), TOLERANCE.pixels);
    });
  });

  it.each(['models/blip2-opt', 'models/blip2-flan-t5', 'models/blip2-itm'])('the batch of %s', (folder) => {
    const model = readGolden(folder);
    const images = (model.json.image_order as string[]).map((name) => goldenImage(name));
    tf.tidy(() => {
      const pixels = tf.transpose(preprocess(images, imageProcessorOfSize(42)), [0, 3, 1, 2]); // [4, 3, 42, 42]
      expect(pixels).toBeAllclose(model.get('pixel_values'), TOLERANCE.pixels);
    });
  });
});
