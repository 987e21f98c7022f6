import { createHash } from 'node:crypto';
import { type Engine, type HostTensor, type Progress, type RunOptions, sizeOf } from '@blip2/core';
import type { DatasetRecord, RecordStream } from '@blip2/datasets';
import {
  createFeatureStore,
  type FeatureStore,
  imageEncoder,
  type LoadedImage,
  loadPixels,
  openFeatureStore,
  writeFeatures,
} from '@blip2/datasets/node';
import { type ImageProcessor, imageProcessorFromJson, normalizeImages, type RgbImage } from '@blip2/image';
import { createVisionEncoder, type VisionTransformerConfig, type VisionTransformerEncoder } from '@blip2/vision-encoder';
import type { RecipeModel } from './model-parts.ts';
import type { RecipeData } from './open-data.ts';

/** How images come into a batch: what is drawn from the stream, and the tensor it becomes. */
export interface ImageInput<Item> extends AsyncDisposable {
  /** What the loss reads: features of the frozen encoder, or pixels for one that trains. */
  readonly kind: 'features' | 'pixels';
  /** The stream of a run. @param seed - Decides crops and mirrors. */
  stream(records: RecordStream, seed: number): RecordStream<Item>;
  recordOf(item: Item): DatasetRecord;
  isUsable(record: DatasetRecord): boolean;
  /** @returns `[items, tokens, width]` or `[items, side, side, 3]`. */
  read(items: readonly Item[], options: Pick<RunOptions, 'abortSignal'>): Promise<HostTensor>;
}

/** Tokens of an image. */
export function imageTokens({ imageSize, patchSize }: VisionTransformerConfig): number {
  return 1 + Math.floor(imageSize / patchSize) ** 2;
}

/** What the trained model does with bytes; sizes are those of training. */
export function processorOf({ files }: RecipeModel): ImageProcessor {
  return imageProcessorFromJson(JSON.parse(new TextDecoder().decode(files.get('preprocessor_config.json'))));
}

/** Options of {@link cachedFeatures}. */
export interface CachedFeaturesOptions extends RunOptions {
  readonly engine: Engine | undefined;
  /** Where the store is, or is made. */
  readonly folder: string;
  readonly maxBrokenShare?: number;
  readonly onRemark?: (remark: string) => void;
}

/** Images that are encoded at once. */
const ENCODED_AT_ONCE = 8;

/**
 * Features of every image, from a store that is filled first where it lacks some. Images that are broken are left out with all of their rows.
 *
 * @throws {InputError} when more than one image in a hundred is broken.
 * @throws {ConfigError} when the store has features of another encoder.
 */
export async function cachedFeatures(
  model: RecipeModel,
  data: readonly RecipeData[],
  options: CachedFeaturesOptions,
): Promise<ImageInput<DatasetRecord>> {
  const { folder, abortSignal } = options;
  const { config } = model.vision;
  const identity = { encoder: await fingerprint(model), imageSize: config.imageSize };
  const description = { tokens: imageTokens(config), width: config.width, dtype: 'F16' as const, identity };
  {
    await using store = await createFeatureStore(folder, description);
    const total = data.every(({ length }) => length !== undefined) ? countImages(data) : undefined;
    if (total === undefined || store.size < total) {
      using encoder = await createVisionEncoder(model.vision.weights, config, { engine: options.engine, abortSignal });
      const records = newImages(data, (key) => store.has(key), config.imageSize, options);
      await writeFeatures(records, imageEncoder(encoder, processorOf(model)), {
        store,
        batchSize: ENCODED_AT_ONCE,
        abortSignal,
        onProgress: ({ written }) =>
          options.onProgress?.(encoding(written, total === undefined ? written : Math.max(total, written))),
      });
    }
  }
  const store: FeatureStore = await openFeatureStore(folder, { identity });
  return {
    kind: 'features',
    stream: (records) => records,
    recordOf: (record) => record,
    isUsable: ({ imageKey }) => store.has(imageKey),
    async read(records, settings) {
      const values = await store.read(
        records.map(({ imageKey }) => imageKey),
        settings,
      );
      return { shape: [records.length, description.tokens, description.width], data: values };
    },
    [Symbol.asyncDispose]: async () => store.dispose(),
  };
}

/** Images that are decoded, augmented and encoded each time they come; or left as pixels for an encoder that trains. */
export async function onlineImages(
  model: RecipeModel,
  options: RunOptions & {
    readonly engine: Engine | undefined;
    readonly trains: boolean;
    readonly augmentation: Parameters<typeof loadPixels>[1]['augmentation'];
    readonly maxBrokenShare?: number;
    readonly onRemark?: (remark: string) => void;
  },
): Promise<ImageInput<LoadedImage>> {
  const { engine, trains, augmentation, maxBrokenShare, abortSignal, onRemark } = options;
  const { config, weights } = model.vision;
  const processor = processorOf(model);
  const encoder: VisionTransformerEncoder | undefined = trains
    ? undefined
    : await createVisionEncoder(weights, config, { engine, abortSignal });
  return {
    kind: trains ? 'pixels' : 'features',
    stream: (records, seed) =>
      loadPixels(records, {
        size: config.imageSize,
        seed,
        augmentation,
        maxBrokenShare,
        onBroken: ({ key, cause }) => onRemark?.(`${key ?? 'a record'} is skipped: ${cause.message}`),
      }),
    recordOf: ({ record }) => record,
    isUsable: () => true,
    async read(items, settings) {
      const pixels = normalizeImages(
        items.map(({ image }) => image),
        processor,
      ); // [items, side, side, 3]
      try {
        if (encoder === undefined) return { shape: pixels.shape, data: (await pixels.data()) as Float32Array };
        const features = await encoder.encode(pixels, settings); // [items, tokens, width]
        try {
          return { shape: features.shape, data: (await features.data()) as Float32Array };
        } finally {
          features.dispose();
        }
      } finally {
        pixels.dispose();
      }
    },
    [Symbol.asyncDispose]: async () => encoder?.dispose(),
  };
}

/** Distinct images of data that can be gone through. */
function countImages(data: readonly RecipeData[]): number {
  const keys = new Set<string>();
  for (const { datasets } of data)
    for (const dataset of datasets) for (let row = 0; row < dataset.length; row++) keys.add(dataset.at(row).imageKey);
  return keys.size;
}

/** Decoded images that are not in the store, each once. */
async function* newImages(
  data: readonly RecipeData[],
  isKnown: (imageKey: string) => boolean,
  size: number,
  { onRemark, maxBrokenShare }: CachedFeaturesOptions,
): AsyncGenerator<{ readonly key: string; readonly pixels: RgbImage }, void, undefined> {
  for (const each of data) {
    await using loader = loadPixels(onlyNew(each, isKnown), {
      size,
      augmentation: false,
      maxBrokenShare,
      onBroken: ({ key, cause }) => onRemark?.(`${key ?? 'a record'} is left out: ${cause.message}`),
    });
    for await (const { record, image } of loader) yield { key: record.imageKey, pixels: image };
  }
}

/** The first record of each image that is not known, as a stream that is read once, forwards. */
function onlyNew(data: RecipeData, isKnown: (imageKey: string) => boolean): RecordStream {
  const seen = new Set<string>();
  const all = data.once();
  const next = async (): Promise<DatasetRecord | undefined> => {
    for (;;) {
      const { done, value } = await all.next();
      if (done === true) return undefined;
      if (seen.has(value.imageKey) || isKnown(value.imageKey)) continue;
      seen.add(value.imageKey);
      return value;
    }
  };
  return {
    name: 'images',
    next,
    position: () => ({}),
    seek: async () => undefined,
    close: async () => void (await all.return()),
    [Symbol.asyncDispose]: async () => void (await all.return()),
    [Symbol.asyncIterator]: () => all,
  };
}

function encoding(done: number, total: number): Progress {
  return { phase: 'run', part: 'features', loadedBytes: done, totalBytes: total };
}

/** What encoder it is: sizes, and a hash of weights that any training would change. */
async function fingerprint({ vision }: RecipeModel): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(vision.config));
  const last = `vision_model.encoder.layers.${vision.config.layers - 1}.`;
  for (const name of vision.weights.names) {
    const weight = vision.weights.get(name)!;
    const isLast = name.startsWith(last) && weight.shape.length === 1;
    if (!isLast && !/embeddings\.(class_embedding|patch_embedding\.(weight|bias))$/.test(name)) continue;
    if (sizeOf(weight.shape) > 2 ** 24) continue;
    const values = await weight.read();
    hash.update(name).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return hash.digest('hex').slice(0, 32);
}
