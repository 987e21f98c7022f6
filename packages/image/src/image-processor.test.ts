import { readFileSync } from 'node:fs';
import { ConfigError } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { BLIP2_IMAGE_PROCESSOR, imageProcessorFromJson, imageProcessorOfSize } from './image-processor.ts';

/** The published file of `Salesforce/blip2-opt-2.7b`. */
const PUBLISHED = {
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_processor_type: 'BlipImageProcessor',
  image_std: [0.26862954, 0.26130258, 0.27577711],
  processor_class: 'Blip2Processor',
  resample: 3,
  rescale_factor: 0.00392156862745098,
  size: { height: 224, width: 224 },
};

describe('imageProcessorFromJson', () => {
  it('reads the published file as the preset', () => {
    expect(imageProcessorFromJson(PUBLISHED)).toEqual(BLIP2_IMAGE_PROCESSOR);
  });

  it.each(['blip2-opt', 'blip2-flan-t5', 'blip2-itm', 'blip2-opt-float16'])('reads the file of %s', (folder) => {
    const json: unknown = JSON.parse(readFileSync(fixturePath('models', folder, 'preprocessor_config.json'), 'utf8'));
    expect(imageProcessorFromJson(json)).toEqual(imageProcessorOfSize(42));
  });

  it('reads the image_processor part of a newer processor_config.json', () => {
    expect(imageProcessorFromJson({ image_processor: PUBLISHED, num_query_tokens: 32 })).toEqual(BLIP2_IMAGE_PROCESSOR);
  });

  it('takes 384 where no size is given, as the class does, and not 224', () => {
    expect(imageProcessorFromJson({})).toEqual(imageProcessorOfSize(384));
  });

  it('reads a bare number as a square for BLIP and as the shorter side for CLIP', () => {
    expect(imageProcessorFromJson({ size: 364 }).resize).toEqual({ height: 364, width: 364 });
    const clip = imageProcessorFromJson({ feature_extractor_type: 'CLIPFeatureExtractor', size: 224, crop_size: 200 });
    expect(clip).toMatchObject({ resize: { shortestEdge: 224 }, crop: { height: 200, width: 200 } });
    expect(imageProcessorFromJson({ image_processor_type: 'CLIPImageProcessor' })).toMatchObject({
      resize: { shortestEdge: 224 },
      crop: { height: 224, width: 224 },
    });
  });

  it('switches single steps off', () => {
    const off = { do_resize: false, do_rescale: false, do_normalize: false, do_center_crop: false, resample: 0 };
    expect(imageProcessorFromJson({ ...PUBLISHED, ...off })).toEqual({
      resize: undefined,
      crop: undefined,
      rescaleFactor: 1,
      mean: [0, 0, 0],
      standardDeviation: [1, 1, 1],
    });
  });

  const messageOf = (fields: unknown): string => {
    try {
      imageProcessorFromJson(fields, 'mine/preprocessor_config.json');
    } catch (cause) {
      if (ConfigError.isInstance(cause)) return cause.message;
      throw cause;
    }
    throw new Error('expected a ConfigError');
  };

  it('refuses another filter', () => {
    expect(messageOf({ ...PUBLISHED, resample: 2 })).toMatchInlineSnapshot(
      `"mine/preprocessor_config.json: resample is 2, expected 3 (bicubic). BLIP-2 and CLIP checkpoints use bicubic; no other filter is implemented."`,
    );
  });
  it('refuses another class', () => {
    expect(messageOf({ ...PUBLISHED, image_processor_type: 'ViTImageProcessor' })).toMatchInlineSnapshot(
      `"mine/preprocessor_config.json: image_processor_type is 'ViTImageProcessor', expected BlipImageProcessor or CLIPImageProcessor. This file belongs to another model; describe the preprocessing with an ImageProcessor object instead."`,
    );
  });
  it('refuses malformed fields and names them all', () => {
    const fields = { ...PUBLISHED, size: { height: 224 }, image_mean: [0.5, 0.5], image_std: [1, 0, 1], do_resize: 'yes' };
    expect(messageOf(fields)).toMatchInlineSnapshot(
      `"mine/preprocessor_config.json: do_resize: expected true or false; size: expected a positive integer, { height, width } or { shortest_edge }; image_mean: expected three numbers; image_std.1: expected a positive number. Expected the fields of a BlipImageProcessor. Take the file from the checkpoint's repository again."`,
    );
  });
  it('refuses what is no object', () => {
    expect(messageOf('BlipImageProcessor')).toMatchInlineSnapshot(
      `"mine/preprocessor_config.json: the file: expected an object. Expected the fields of a BlipImageProcessor. Take the file from the checkpoint's repository again."`,
    );
    expect(messageOf(null)).toMatchInlineSnapshot(
      `"mine/preprocessor_config.json: the file: expected an object. Expected the fields of a BlipImageProcessor. Take the file from the checkpoint's repository again."`,
    );
  });
});
