import { CLIP_MEAN, CLIP_STANDARD_DEVIATION } from '@blip2/core';
import * as z from 'zod/mini';
import {
  completed,
  count,
  endTokenIds,
  fieldOf,
  positive,
  probability,
  tokenId,
  validate,
  wholeNumber,
  withDefault,
  type Schema,
} from './validate.ts';

/** `generation_config.json`: defaults for decoding. A field that the file leaves out is absent. */
export interface GenerationConfigJson {
  readonly bos_token_id?: number | null;
  readonly eos_token_id?: number | readonly number[] | null;
  readonly pad_token_id?: number | null;
  readonly decoder_start_token_id?: number | null;
  readonly max_length?: number | null;
  readonly max_new_tokens?: number | null;
  readonly min_length?: number | null;
  readonly min_new_tokens?: number | null;
  readonly num_beams?: number | null;
  readonly num_return_sequences?: number | null;
  readonly do_sample?: boolean | null;
  readonly temperature?: number | null;
  readonly top_k?: number | null;
  readonly top_p?: number | null;
  readonly repetition_penalty?: number | null;
  readonly length_penalty?: number | null;
  readonly no_repeat_ngram_size?: number | null;
  readonly early_stopping?: boolean | 'never' | null;
}

/** A size in pixels as image processors give it: exact, or of the shorter edge with the shape kept. */
export type ImageSizeJson = { readonly height: number; readonly width: number } | { readonly shortest_edge: number };

/** `preprocessor_config.json`, complete. */
export interface PreprocessorConfigJson {
  readonly image_processor_type: string;
  readonly do_convert_rgb: boolean;
  readonly do_resize: boolean;
  readonly size: ImageSizeJson;
  /** Pillow's number of a filter; 3 is bicubic. */
  readonly resample: number;
  readonly do_center_crop: boolean;
  readonly crop_size: { readonly height: number; readonly width: number } | null;
  readonly do_rescale: boolean;
  readonly rescale_factor: number;
  readonly do_normalize: boolean;
  /** By channel: red, green, blue. */
  readonly image_mean: readonly [number, number, number];
  readonly image_std: readonly [number, number, number];
}

/** `processor_config.json`: what joins text and images. */
export interface ProcessorConfigJson {
  readonly processor_class?: string | null;
  /** Image placeholders in front of a prompt. */
  readonly num_query_tokens?: number | null;
  /** Text of the placeholder. */
  readonly image_token?: string | null;
}

const generationConfigSchema: Schema<GenerationConfigJson> = z.looseObject({
  bos_token_id: z.nullish(tokenId),
  eos_token_id: z.nullish(endTokenIds),
  pad_token_id: z.nullish(tokenId),
  decoder_start_token_id: z.nullish(tokenId),
  max_length: z.nullish(wholeNumber),
  max_new_tokens: z.nullish(wholeNumber),
  min_length: z.nullish(wholeNumber),
  min_new_tokens: z.nullish(wholeNumber),
  num_beams: z.nullish(count),
  num_return_sequences: z.nullish(count),
  do_sample: z.nullish(z.boolean()),
  temperature: z.nullish(positive),
  top_k: z.nullish(wholeNumber),
  top_p: z.nullish(probability),
  repetition_penalty: z.nullish(positive),
  length_penalty: z.nullish(z.number()),
  no_repeat_ngram_size: z.nullish(wholeNumber),
  early_stopping: z.nullish(z.union([z.boolean(), z.literal('never')], "expected true, false or 'never'")),
});

const RESAMPLE = "expected 0 to 5, Pillow's number of a filter";
const rectangle = z.object({ height: count, width: count });
const channels = z.tuple([z.number(), z.number(), z.number()], 'expected three numbers');
const sizeSchema = z.union(
  [count, rectangle, z.object({ shortest_edge: count })],
  'expected pixels, or an object with height and width, or with shortest_edge',
);
const cropSchema = z.union([count, rectangle], 'expected pixels, or an object with height and width');

const preprocessorConfigSchema: Schema<PreprocessorConfigJson> = completed(
  z.looseObject({
    image_processor_type: withDefault(z.string(), 'BlipImageProcessor'),
    do_convert_rgb: withDefault(z.boolean(), true),
    do_resize: withDefault(z.boolean(), true),
    size: z.nullish(sizeSchema),
    resample: withDefault(z.int(RESAMPLE).check(z.gte(0, RESAMPLE), z.lte(5, RESAMPLE)), 3),
    do_center_crop: z.nullish(z.boolean()),
    crop_size: z.nullish(cropSchema),
    do_rescale: withDefault(z.boolean(), true),
    rescale_factor: withDefault(z.number(), 1 / 255),
    do_normalize: withDefault(z.boolean(), true),
    image_mean: withDefault(channels, [...CLIP_MEAN] as [number, number, number]),
    image_std: withDefault(channels, [...CLIP_STANDARD_DEVIATION] as [number, number, number]),
  }),
  (config) => {
    const isClip = config.image_processor_type.startsWith('CLIP');
    const crop = config.crop_size ?? (isClip ? 224 : null);
    return {
      ...config,
      size: completeSize(config.size, isClip),
      do_center_crop: config.do_center_crop ?? isClip,
      crop_size: typeof crop === 'number' ? { height: crop, width: crop } : crop,
    };
  },
);

/** A single number is the shorter edge for CLIP's processor and a square for BLIP's, whose default is 384. */
function completeSize(size: number | ImageSizeJson | null | undefined, isClip: boolean): ImageSizeJson {
  if (typeof size === 'object' && size !== null) return size;
  const pixels = size ?? (isClip ? 224 : 384);
  return isClip ? { shortest_edge: pixels } : { height: pixels, width: pixels };
}

const processorConfigSchema: Schema<ProcessorConfigJson> = z.looseObject({
  processor_class: z.nullish(z.string()),
  num_query_tokens: z.nullish(count),
  image_token: z.optional(
    z.pipe(
      z.transform((token: unknown) => (typeof token === 'string' ? token : fieldOf(token, 'content'))),
      z.nullish(z.string()),
    ),
  ),
});

/**
 * Checks a `generation_config.json`.
 * @throws {ConfigError} for a value that cannot be.
 */
export function parseGenerationConfig(json: unknown, fileName = 'generation_config.json'): GenerationConfigJson {
  return validate(generationConfigSchema, json, fileName);
}

/**
 * Completes a `preprocessor_config.json`.
 *
 * @returns the fields of the file, and those of its processor's class where it leaves them out.
 * @throws {ConfigError} for a value that cannot be.
 *
 * Source: transformers, `BlipImageProcessor`, `CLIPImageProcessor`.
 */
export function parsePreprocessorConfig(json: unknown, fileName = 'preprocessor_config.json'): PreprocessorConfigJson {
  return validate(preprocessorConfigSchema, json, fileName);
}

/**
 * Checks a `processor_config.json`. The image token may be a string or an object with its `content`.
 * @throws {ConfigError} for a value that cannot be.
 */
export function parseProcessorConfig(json: unknown, fileName = 'processor_config.json'): ProcessorConfigJson {
  return validate(processorConfigSchema, json, fileName);
}
