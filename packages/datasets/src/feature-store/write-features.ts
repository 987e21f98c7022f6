import type { Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { assertShape, InputError, nextTurn, type VisionEncoder } from '@blip2/core';
import { preprocess, type ImageProcessor, type RgbImage } from '@blip2/image';
import type { FeatureStoreWriter } from './create-feature-store.ts';

/** An image to be encoded: its key, and its pixels or a function that gets them when they are needed. */
export interface FeatureRecord<Pixels> {
  readonly key: string;
  readonly pixels: Pixels | (() => Pixels | Promise<Pixels>);
}

/**
 * Makes the features of a batch.
 * @returns `[batch, tokens, width]`, which becomes the receiver's.
 */
export type EncodeFeatures<Pixels> = (
  batch: readonly Pixels[],
  options: { readonly abortSignal?: AbortSignal },
) => Promise<Tensor3D> | Tensor3D;

/** How far {@link writeFeatures} is. `written + skipped` never falls. */
export interface WriteFeaturesProgress {
  /** Rows that were encoded and appended. */
  readonly written: number;
  /** Rows that were there already. */
  readonly skipped: number;
  /** Number of all records, where it is known: they came in an array, or `total` was given. */
  readonly total: number | undefined;
}

/** Options of {@link writeFeatures}. */
export interface WriteFeaturesOptions {
  /** Where rows go. It stays open: the caller closes it, which writes the last rows. */
  readonly store: FeatureStoreWriter;
  /** Images that are encoded at once. @default 8 */
  readonly batchSize?: number;
  /** Number of records, for progress. @default the length of an array, else unknown */
  readonly total?: number;
  /** Stops between batches and in the encoder; the call rejects with the signal's reason. Rows that were appended stay. */
  readonly abortSignal?: AbortSignal;
  /** Called after each batch, and at the end. */
  readonly onProgress?: (progress: WriteFeaturesProgress) => void;
}

/**
 * Encodes images once and stores their features. Records whose key is in the store are skipped without getting their pixels, so that
 * calling it again after an interruption goes on where it ended. The next images are got while a batch is encoded.
 *
 * @param records - Keys that come twice are encoded once.
 * @returns how many rows were written and skipped.
 * @throws {ShapeError} when the encoder's features have not the store's tokens and width.
 * @throws {InputError} as `append` of the store.
 *
 * @example
 * const records = photos.map((path) => ({ key: path, pixels: () => decodeImage(path) }));
 * await writeFeatures(records, imageEncoder(encoder, BLIP2_IMAGE_PROCESSOR), { store });
 * await store.close();
 */
export async function writeFeatures<Pixels>(
  records: Iterable<FeatureRecord<Pixels>> | AsyncIterable<FeatureRecord<Pixels>>,
  encode: EncodeFeatures<Pixels>,
  options: WriteFeaturesOptions,
): Promise<{ readonly written: number; readonly skipped: number }> {
  const { store, batchSize = 8, abortSignal, onProgress } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new InputError(
      `writeFeatures: batchSize is ${batchSize}, expected a whole number of at least 1. Pass how many images are encoded at once.`,
    );
  }
  const total = options.total ?? (Array.isArray(records) ? records.length : undefined);
  const counts = { written: 0, skipped: 0 };
  const report = (): void => onProgress?.({ ...counts, total });
  const batches = collect(records, store, batchSize, abortSignal);
  let next = batches.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done === true) break;
      abortSignal?.throwIfAborted();
      next = batches.next();
      next.catch(() => undefined); // awaited in the next turn; when encoding fails first, nobody does
      counts.skipped += value.skipped;
      if (value.keys.length > 0) await encodeBatch(value, encode, store, abortSignal);
      counts.written += value.keys.length;
      report();
      await nextTurn();
    }
  } finally {
    await batches.return(undefined).catch(() => undefined);
  }
  return counts;
}

/**
 * A vision encoder as {@link writeFeatures} calls it, on decoded images.
 *
 * @param encoder - Any with `encode([batch, imageHeight, imageWidth, 3])`. It stays the caller's.
 */
export function imageEncoder(encoder: Pick<VisionEncoder, 'encode'>, processor: ImageProcessor): EncodeFeatures<RgbImage> {
  return async (images, options) => {
    const pixels: Tensor4D = preprocess(images, processor);
    try {
      return await encoder.encode(pixels, options);
    } finally {
      pixels.dispose();
    }
  };
}

interface Collected<Pixels> {
  readonly keys: readonly string[];
  readonly pixels: readonly Pixels[];
  /** Records that were passed over before the batch was full. */
  readonly skipped: number;
}

/** Cuts records into batches, without those that are there. */
async function* collect<Pixels>(
  records: Iterable<FeatureRecord<Pixels>> | AsyncIterable<FeatureRecord<Pixels>>,
  store: FeatureStoreWriter,
  batchSize: number,
  abortSignal: AbortSignal | undefined,
): AsyncGenerator<Collected<Pixels>, void, undefined> {
  abortSignal?.throwIfAborted();
  // Keys of the batch that is being encoded are not in the store yet.
  let before: ReadonlySet<string> = new Set();
  let batch = new Map<string, Pixels>();
  let skipped = 0;
  for await (const { key, pixels } of records) {
    abortSignal?.throwIfAborted();
    if (store.has(key) || batch.has(key) || before.has(key)) skipped++;
    else batch.set(key, typeof pixels === 'function' ? await (pixels as () => Pixels | Promise<Pixels>)() : pixels);
    if (batch.size < batchSize && skipped < SKIPPED_AT_ONCE) continue;
    yield { keys: [...batch.keys()], pixels: [...batch.values()], skipped };
    before = new Set(batch.keys());
    batch = new Map();
    skipped = 0;
  }
  if (batch.size + skipped > 0) yield { keys: [...batch.keys()], pixels: [...batch.values()], skipped };
}

/** Progress is reported also while there is nothing to encode. */
const SKIPPED_AT_ONCE = 1000;

async function encodeBatch<Pixels>(
  { keys, pixels }: Collected<Pixels>,
  encode: EncodeFeatures<Pixels>,
  store: FeatureStoreWriter,
  abortSignal: AbortSignal | undefined,
): Promise<void> {
  const features = await encode(pixels, { abortSignal });
  try {
    abortSignal?.throwIfAborted();
    const { tokens, width } = store.description;
    const cure = 'Make the store with the tokens and the width of this encoder.';
    assertShape(features, [keys.length, tokens, width], 'writeFeatures: features', cure);
    await store.append(keys, (await features.data()) as Float32Array);
  } finally {
    features.dispose();
  }
}
