import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { DatasetError } from '@blip2/core';
import { fileProblem } from '@blip2/core/node';
import { DEFAULT_MAX_BYTES } from '@blip2/image';
import { textsOf } from '../readers/row-fields.ts';
import type { DatasetRecord, ReadOptions, RowOrProblem } from '../records/record.ts';
import type { RecordStream } from '../streams/record-stream.ts';
import { type RecordShard, type ShardStreamOptions, streamShards } from '../streams/shard-stream.ts';
import { expandShards } from './shard-names.ts';
import { readSamples, type Sample } from './tar-samples.ts';

/** Options of {@link streamWebDataset}. */
export interface WebDatasetOptions extends ShardStreamOptions {
  /** What the data set is called: image keys begin with it, so two data sets must not share it. @default the folder's name */
  readonly name?: string;
}

/** Endings of images that `@blip2/image` decodes. */
const IMAGES = ['jpg', 'jpeg', 'png', 'webp', 'avif', 'gif'];
/** Endings of a caption alone. */
const TEXTS = ['txt', 'caption', 'text'];
const WANTED = new Set([...IMAGES, ...TEXTS, 'json']);

/**
 * Records from shards in the WebDataset format: tar files, plain or gzipped, in which members with one name belong together:
 * `00012.jpg` with `00012.txt` or `00012.caption`, and `00012.json` with `caption`, `captions`, `question`, `answer` or `answers`.
 * A list of `captions` counts more than a text file, and that more than a `caption`.
 *
 * Rows in the buffer are in memory with their images. A sample without an image, or with broken JSON, is a broken row; a shard that
 * breaks off ends with one.
 *
 * @param shards - Paths, or patterns with braces; see {@link expandShards}. All must exist.
 * @returns rows `cc3m:00012.tar/000120031`. Nothing is read before the first `next`.
 * @throws {DatasetError} when a shard does not exist.
 * @throws {InputError} when there are no shards or an option is out of range.
 *
 * @example
 * const stream = await streamWebDataset('cc3m/{00000..00331}.tar', { seed: 1, rank: { index: 0, count: 4 } });
 * for await (const record of stream) console.log(record.key, record.captions);
 */
export async function streamWebDataset(
  shards: string | readonly string[],
  options: WebDatasetOptions = {},
): Promise<RecordStream> {
  const paths = expandShards(shards);
  for (const path of paths) await assertFile(path);
  const name = options.name ?? basename(dirname(resolve(paths[0]!)));
  return streamShards(
    name,
    paths.map((path) => webDatasetShard(path, name)),
    options,
  );
}

function webDatasetShard(path: string, name: string): RecordShard {
  return {
    name: path,
    async *open(skip) {
      const samples = readSamples(path, { skip, isWanted: (ending) => WANTED.has(ending), maxBytes: DEFAULT_MAX_BYTES });
      for await (const sample of samples) yield DatasetError.isInstance(sample) ? sample : recordOrProblem(sample, path, name);
    },
  };
}

function recordOrProblem(sample: Sample, path: string, name: string): RowOrProblem<DatasetRecord> {
  if (sample.problem !== undefined) return sample.problem;
  try {
    return recordOf(sample, path, name);
  } catch (cause) {
    if (DatasetError.isInstance(cause)) return cause;
    throw cause;
  }
}

function recordOf({ key, fields, endings }: Sample, path: string, name: string): DatasetRecord {
  const place = `sample '${key}'`;
  const image = valueOfFirst(fields, IMAGES);
  if (image === undefined) {
    throw new DatasetError(
      `${path}: ${place}: has ${endings.map((one) => `.${one}`).join(' ')} and no image, expected one of ${IMAGES.map((one) => `.${one}`).join(' ')}. ` +
        `Write the shard with its images.`,
      path,
    );
  }
  const json = parseJson(fields.get('json'), path, place);
  const texts = json === undefined ? {} : textsOf(json, key, path, place);
  const plain = valueOfFirst(fields, TEXTS);
  const isListed = Array.isArray((json as { captions?: unknown } | undefined)?.captions);
  const captions = plain === undefined || isListed ? texts.captions : [decode(plain, path, place).trim()];
  const imageKey = `${name}:${basename(path)}/${key}`;
  return {
    ...texts,
    key: imageKey,
    imageKey,
    imageId: key,
    readImage: async ({ abortSignal }: ReadOptions = {}) => {
      abortSignal?.throwIfAborted();
      return image;
    },
    ...(captions === undefined ? {} : { captions }),
  };
}

function valueOfFirst(fields: ReadonlyMap<string, Uint8Array>, endings: readonly string[]): Uint8Array | undefined {
  const ending = endings.find((one) => fields.has(one));
  return ending === undefined ? undefined : fields.get(ending);
}

function parseJson(bytes: Uint8Array | undefined, path: string, place: string): unknown {
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(decode(bytes, path, place));
  } catch (cause) {
    if (DatasetError.isInstance(cause)) throw cause;
    throw new DatasetError(`${path}: ${place}: its .json is broken, expected an object. Write the shard again.`, path, { cause });
  }
}

function decode(bytes: Uint8Array, path: string, place: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DatasetError(`${path}: ${place}: has a text that is not UTF-8. Write the shard again.`, path, { cause });
  }
}

async function assertFile(path: string): Promise<void> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw fileProblem(path, cause);
  });
  if (stats.isFile()) return;
  throw new DatasetError(
    `${path}: is no file, expected a tar file. Pass the shards themselves, or a pattern such as '{0..9}.tar'.`,
    path,
  );
}
