import { createHash } from 'node:crypto';
import { type Engine, type HostTensor, type Progress, type RunOptions, sizeOf } from '@blip2/core';
import { type BrokenRow, BrokenRows, type DatasetRecord, type RecordStream } from '@blip2/datasets';
import {
  createFeatureStore,
  type EncodeFeatures,
  type FeatureIdentity,
  type FeatureStore,
  type FeatureStoreWriter,
  imageEncoder,
  type LoadedImage,
  loadPixels,
  openFeatureStore,
  writeFeatures,
} from '@blip2/datasets/node';
import { type ImageProcessor, imageProcessorFromJson, normalizeImages, type RgbImage } from '@blip2/image';
import { createVisionEncoder, type VisionTransformerConfig, type VisionTransformerEncoder } from '@blip2/vision-encoder';
import { KnownFiles } from './known-files.ts';
import type { RecipeModel } from './model-parts.ts';
import type { RecipeData } from './open-data.ts';
import { contentOf, type PictureCounts, Pictures } from './pictures.ts';
import { mappedStream, type PlacedRecord, placedRecords } from './record-streams.ts';

/** How images come into a batch: what is drawn from the data, and the tensor it becomes. */
export interface ImageInput<Item> extends AsyncDisposable {
  /** What the loss reads: features of the frozen encoder, or pixels for one that trains. */
  readonly kind: 'features' | 'pixels';
  /** The stream of a run, endless. @param seed - Decides order, crops and mirrors. */
  stream(data: RecipeData, seed: number): Promise<RecordStream<Item>>;
  recordOf(item: Item): DatasetRecord;
  /** By content: the same for equal images, whatever their keys. Nothing where the image cannot be used. */
  pictureOf(item: Item): string | undefined;
  /** How many images and records are broken and were left out so far, in a stream that it gave. */
  leftOut(stream: RecordStream<Item>): number;
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

/** Options of {@link cachedFeatures} and {@link onlineImages}. */
export interface ImageOptions extends RunOptions {
  readonly engine: Engine | undefined;
  readonly maxBrokenShare: number;
  readonly onRemark?: (remark: string) => void;
}

/** Images that are encoded at once. */
const ENCODED_AT_ONCE = 8;

/**
 * Features of every image, from a store that is filled first where it lacks some. Rows of the store are found by the image's content. Images
 * that are broken are left out with all of their rows.
 *
 * @param folder - Where the store is, or is made.
 * @throws {InputError} when a larger share of images, or of records, is broken than may be.
 * @throws {ConfigError} when the store has features of another encoder, or of images that were prepared otherwise.
 */
export async function cachedFeatures(
  model: RecipeModel,
  data: readonly RecipeData[],
  folder: string,
  options: ImageOptions,
): Promise<ImageInput<PlacedRecord>> {
  const { config } = model.vision;
  const identity = await featureIdentity(model);
  const description = { tokens: imageTokens(config), width: config.width, dtype: 'F16' as const, identity };
  const leaveOut = ({ key, cause }: BrokenRow): void => options.onRemark?.(leftOutRemark(key, cause));
  const counting = { maxShare: options.maxBrokenShare, onBroken: leaveOut };
  const counts: PictureCounts = {
    images: new BrokenRows({ where: 'the data', what: 'images', ...counting }),
    records: new BrokenRows({ where: 'the data', what: 'records', ...counting }),
  };
  let pictures: Pictures;
  {
    await using store = await createFeatureStore(folder, description);
    const known = await KnownFiles.open(folder);
    pictures = new Pictures(known, counts);
    try {
      await encodeUnseen(model, data, store, pictures, options);
    } finally {
      await known.save();
    }
  }
  pictures.assertShares();
  const store: FeatureStore = await openFeatureStore(folder, { identity });
  const leftOut = counts.images.count + counts.records.count + data.reduce((sum, { brokenLines }) => sum + brokenLines, 0);
  return {
    kind: 'features',
    stream: async (each, seed) =>
      placedRecords(await each.stream(seed), {
        pictureOf: async (record, settings) => {
          const picture = await pictures.of(record, settings);
          return picture !== undefined && store.has(picture) ? picture : undefined;
        },
        maxBrokenShare: options.maxBrokenShare,
        epochRows: pictures.recordsOf(each),
      }),
    recordOf: ({ record }) => record,
    pictureOf: ({ picture }) => picture,
    leftOut: () => leftOut,
    async read(items, settings) {
      const values = await store.read(
        items.map(({ picture }) => picture!),
        settings,
      );
      return { shape: [items.length, description.tokens, description.width], data: values };
    },
    [Symbol.asyncDispose]: async () => store.dispose(),
  };
}

/** Encodes what the store lacks; the encoder is made when there is something. */
async function encodeUnseen(
  model: RecipeModel,
  data: readonly RecipeData[],
  store: FeatureStoreWriter,
  pictures: Pictures,
  { engine, abortSignal, onProgress }: ImageOptions,
): Promise<void> {
  const { config, weights } = model.vision;
  const total = countImages(data);
  let encoder: VisionTransformerEncoder | undefined;
  const encode: EncodeFeatures<RgbImage> = async (batch, settings) => {
    encoder ??= await createVisionEncoder(weights, config, { engine, abortSignal });
    return imageEncoder(encoder, processorOf(model))(batch, settings);
  };
  const report = (isDone = false): void => {
    const all = total ?? pictures.imageCount;
    onProgress?.(encoding(isDone ? all : Math.min(pictures.imageCount, all), all));
  };
  try {
    for (const each of data) {
      const records = pictures.unseen(each, (content) => store.has(content), { size: config.imageSize, abortSignal });
      await writeFeatures(records, encode, { store, batchSize: ENCODED_AT_ONCE, abortSignal, onProgress: () => report() });
    }
    if (encoder !== undefined) report(true);
  } finally {
    encoder?.dispose();
  }
}

/** Images that are decoded, augmented and encoded each time they come; or left as pixels for an encoder that trains. */
export async function onlineImages(
  model: RecipeModel,
  options: ImageOptions & {
    readonly trains: boolean;
    readonly augmentation: Parameters<typeof loadPixels>[1]['augmentation'];
  },
): Promise<ImageInput<LoadedImage<ReadRecord>>> {
  const { engine, trains, augmentation, maxBrokenShare, abortSignal, onRemark } = options;
  const { config, weights } = model.vision;
  const processor = processorOf(model);
  const encoder: VisionTransformerEncoder | undefined = trains
    ? undefined
    : await createVisionEncoder(weights, config, { engine, abortSignal });
  const brokenLines = new WeakMap<object, number>();
  return {
    kind: trains ? 'pixels' : 'features',
    async stream(data, seed) {
      const loader = loadPixels(mappedStream(await data.stream(seed), withContent), {
        size: config.imageSize,
        seed,
        augmentation,
        maxBrokenShare,
        epochRows: data.length,
        onBroken: ({ key, cause }) => onRemark?.(leftOutRemark(key, cause)),
      });
      brokenLines.set(loader, data.brokenLines);
      return loader;
    },
    recordOf: ({ record }) => record,
    pictureOf: ({ record }) => record.content(),
    leftOut: (stream) => (brokenLines.get(stream) ?? 0) + Number(stream.position()['broken']),
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

/** A record that knows its image's content, once it was read. */
interface ReadRecord extends DatasetRecord {
  content(): string | undefined;
}

function withContent(record: DatasetRecord): ReadRecord {
  let content: string | undefined;
  return {
    ...record,
    async readImage(options) {
      const bytes = await record.readImage(options);
      content = contentOf(bytes);
      return bytes;
    },
    content: () => content,
  };
}

function leftOutRemark(key: string | undefined, { message }: Error): string {
  return `${key ?? 'a record'} is left out: ${message}`;
}

/** Distinct images, as far as anybody knows before shards are read; nothing where their number is not known. */
function countImages(data: readonly RecipeData[]): number | undefined {
  const places = new Set<string>();
  let inShards = 0;
  for (const { datasets, length } of data) {
    if (length === undefined) return undefined;
    inShards += length - datasets.reduce((sum, dataset) => sum + dataset.length, 0);
    for (const dataset of datasets) {
      for (let row = 0; row < dataset.length; row++) {
        const { imageFiles, imageKey } = dataset.at(row);
        places.add(imageFiles?.[0] ?? imageKey);
      }
    }
  }
  return places.size + inShards;
}

function encoding(done: number, total: number): Progress {
  return { phase: 'run', part: 'features', loadedBytes: done, totalBytes: total };
}

/** All that features depend on, beside the image. */
async function featureIdentity(model: RecipeModel): Promise<FeatureIdentity> {
  const { crop: _, ...processor } = processorOf(model);
  const { imageSize } = model.vision.config;
  return { encoder: await fingerprint(model), imageSize, processor: { ...processor, resampling: 'bicubic' } as FeatureIdentity };
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
