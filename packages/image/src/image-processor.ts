import { CLIP_MEAN, CLIP_STANDARD_DEVIATION, ConfigError } from '@blip2/core';
import { flag, positive, size as side } from '@blip2/core/config';
import * as z from 'zod/mini';
import type { ImageSize } from './rgb-image.ts';

/** One number for red, green and blue. */
export type RgbTriple = readonly [red: number, green: number, blue: number];

/**
 * How images become model input: resize, crop, then `(byte * rescaleFactor - mean) / standardDeviation`.
 * Plain data: change a field with `{ ...processor, resize: { height: 56, width: 84 } }`.
 */
export interface ImageProcessor {
  /** A fixed size regardless of the aspect ratio, or the length of the shorter side; `undefined` leaves images as they are. */
  readonly resize: ImageSize | { readonly shortestEdge: number } | undefined;
  /** Cut from the middle after resizing; `undefined` cuts nothing. */
  readonly crop: ImageSize | undefined;
  /** Factor on the bytes 0–255; 1 for none. */
  readonly rescaleFactor: number;
  /** Subtracted after rescaling; zeros for none. */
  readonly mean: RgbTriple;
  /** Divides at the end; ones for none. */
  readonly standardDeviation: RgbTriple;
}

/** As the files write 1/255. */
const RESCALE_FACTOR = 0.00392156862745098;

/** `size` of `BlipImageProcessor` when a file names none. */
const BLIP_DEFAULT_SIZE = 384;
/** `size` and `crop_size` of `CLIPImageProcessor` when a file names none. */
const CLIP_DEFAULT_SIZE = 224;
/** Pillow's number for bicubic. */
const BICUBIC = 3;

/**
 * The preprocessing of BLIP-2 for one input size: squeeze to the size, no crop, CLIP's mean and deviation.
 *
 * @param size - Side of a square, or height and width.
 *
 * @example
 * const processor = imageProcessorOfSize(364); // the COCO-tuned checkpoints
 *
 * Source: LAVIS `BlipImageEvalProcessor`; `preprocessor_config.json` of `Salesforce/blip2-opt-2.7b`.
 */
export function imageProcessorOfSize(size: number | ImageSize): ImageProcessor {
  return {
    resize: typeof size === 'number' ? { height: size, width: size } : size,
    crop: undefined,
    rescaleFactor: RESCALE_FACTOR,
    mean: CLIP_MEAN,
    standardDeviation: CLIP_STANDARD_DEVIATION,
  };
}

/** The preprocessing of the 224-pixel BLIP-2 checkpoints. */
export const BLIP2_IMAGE_PROCESSOR: ImageProcessor = imageProcessorOfSize(224);

const heightAndWidth = z.object({ height: side, width: side });
const triple = z.tuple([z.number(), z.number(), z.number()], 'expected three numbers');
const className = z.nullish(z.string());
const preprocessorJson = z.object(
  {
    image_processor_type: className,
    feature_extractor_type: className,
    do_resize: z.nullish(flag),
    size: z.nullish(
      z.union(
        [side, heightAndWidth, z.strictObject({ shortest_edge: side })],
        'expected a positive integer, { height, width } or { shortest_edge }',
      ),
    ),
    do_center_crop: z.nullish(flag),
    crop_size: z.nullish(z.union([side, heightAndWidth], 'expected a positive integer or { height, width }')),
    resample: z.nullish(z.int()),
    do_rescale: z.nullish(flag),
    rescale_factor: z.nullish(positive),
    do_normalize: z.nullish(flag),
    image_mean: z.nullish(triple),
    image_std: z.nullish(z.tuple([positive, positive, positive], 'expected three numbers')),
  },
  'expected an object',
);
type PreprocessorJson = z.infer<typeof preprocessorJson>;

/**
 * Reads a parsed `preprocessor_config.json`, or the `image_processor` part of a `processor_config.json`.
 * What a file leaves out has the value of its class: `BlipImageProcessor` 384×384 without a crop, `CLIPImageProcessor`
 * shortest edge 224 and a crop. `do_convert_rgb` does not matter: images are RGB here.
 *
 * @param name - The file, for messages.
 * @throws {ConfigError} when a field is malformed, the class is another one, or the filter is not bicubic.
 *
 * @example
 * const processor = imageProcessorFromJson(JSON.parse(await readFile('preprocessor_config.json', 'utf8')));
 *
 * Source: transformers `image_processing_blip.py`, `image_processing_clip.py`.
 */
export function imageProcessorFromJson(json: unknown, name = 'preprocessor_config.json'): ImageProcessor {
  const config = parse(json, name);
  const type = config.image_processor_type ?? config.feature_extractor_type ?? 'BlipImageProcessor';
  const family = /^(Blip|CLIP)(ImageProcessor|FeatureExtractor)/.exec(type)?.[1];
  if (family === undefined) {
    throw new ConfigError(
      `${name}: image_processor_type is '${type}', expected BlipImageProcessor or CLIPImageProcessor. ` +
        `This file belongs to another model; describe the preprocessing with an ImageProcessor object instead.`,
    );
  }
  const resizes = config.do_resize ?? true;
  if (resizes && (config.resample ?? BICUBIC) !== BICUBIC) {
    throw new ConfigError(
      `${name}: resample is ${config.resample}, expected 3 (bicubic). BLIP-2 and CLIP checkpoints use bicubic; ` +
        `no other filter is implemented.`,
    );
  }
  return {
    resize: resizes ? resizeOf(config, family) : undefined,
    crop: (config.do_center_crop ?? family === 'CLIP') ? square(config.crop_size ?? CLIP_DEFAULT_SIZE) : undefined,
    rescaleFactor: (config.do_rescale ?? true) ? (config.rescale_factor ?? RESCALE_FACTOR) : 1,
    ...((config.do_normalize ?? true)
      ? { mean: config.image_mean ?? CLIP_MEAN, standardDeviation: config.image_std ?? CLIP_STANDARD_DEVIATION }
      : { mean: [0, 0, 0], standardDeviation: [1, 1, 1] }),
  };
}

function parse(json: unknown, name: string): PreprocessorJson {
  const whole = z.safeParse(z.looseObject({ image_processor: z.optional(z.record(z.string(), z.unknown())) }), json);
  const result = z.safeParse(preprocessorJson, whole.data?.image_processor ?? json);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  throw new ConfigError(
    `${name}: ${problems.join('; ')}. Expected the fields of a BlipImageProcessor. Take the file from the checkpoint's repository again.`,
    { cause: result.error },
  );
}

/** A bare number is a square for BLIP and the shorter side for CLIP. */
function resizeOf({ size }: PreprocessorJson, family: string): ImageProcessor['resize'] {
  const given = size ?? (family === 'CLIP' ? CLIP_DEFAULT_SIZE : BLIP_DEFAULT_SIZE);
  if (typeof given === 'number') return family === 'CLIP' ? { shortestEdge: given } : square(given);
  return 'shortest_edge' in given ? { shortestEdge: given.shortest_edge } : given;
}

function square(size: number | ImageSize): ImageSize {
  return typeof size === 'number' ? { height: size, width: size } : size;
}
