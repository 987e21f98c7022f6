import { createHash } from 'node:crypto';
import { type Blip2Error, DatasetError, ImageError, type RunOptions } from '@blip2/core';
import type { BrokenRow, BrokenRows, DatasetRecord, RecordStream } from '@blip2/datasets';
import { loadPixels } from '@blip2/datasets/node';
import type { RgbImage } from '@blip2/image';
import { type FileStamp, type KnownFile, type KnownFiles, stampOf } from './known-files.ts';
import type { RecipeData } from './open-data.ts';
import { forwardStream } from './record-streams.ts';

/** A short name of an image's bytes: pictures are the same when these are, whatever data sets call them. */
export function contentOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** What is counted while data are gone through. */
export interface PictureCounts {
  /** Distinct images. */
  readonly images: BrokenRows;
  /** Records that data gave, such as samples of shards. */
  readonly records: BrokenRows;
}

/** A picture that was not seen before. */
export interface UnseenPicture {
  /** Its content. */
  readonly key: string;
  readonly pixels: RgbImage;
}

type Settings = Pick<RunOptions, 'abortSignal'>;

/** What was found of an image; bytes only where it had to be read. */
interface FoundImage {
  readonly content: string;
  readonly bytes?: Uint8Array;
  readonly stamp?: FileStamp;
}

/** Who an image is in the data. */
interface Image {
  readonly key: string | undefined;
  readonly place?: string;
  readonly stamp?: FileStamp;
}

/** A picture on its way, and all images that have its content. */
interface Loading {
  readonly content: string;
  readonly images: Image[];
  problem?: Blip2Error;
}

/**
 * Which picture each record shows, by content. Two data sets may give two pictures one key, and a file may be replaced; features that were
 * found by key would then be those of another picture.
 */
export class Pictures {
  readonly #known: KnownFiles;
  readonly #counts: PictureCounts;
  /** By place; `undefined` where the image is broken. */
  readonly #contents = new Map<string, string | undefined>();
  readonly #records = new Map<RecipeData, number>();
  #imageCount = 0;
  #recordCount = 0;

  constructor(known: KnownFiles, counts: PictureCounts) {
    this.#known = known;
    this.#counts = counts;
  }

  /** Images that were looked at. */
  get imageCount(): number {
    return this.#imageCount;
  }

  /** Records of data that were gone through. */
  recordsOf(data: RecipeData): number | undefined {
    return this.#records.get(data);
  }

  /** The picture of a record of data that were gone through; nothing where it is broken. */
  async of(record: DatasetRecord, settings: Settings): Promise<string | undefined> {
    const place = placeOf(record);
    return place === undefined ? contentOf(await record.readImage(settings)) : this.#contents.get(place);
  }

  /**
   * Goes through data once, and gives the pictures that are not there yet. What is broken is counted against all images and records, not
   * only those that come out; a file that cannot be decoded is not tried again before it changes.
   *
   * @param isThere - Asked for a content.
   * @param options.size - Side of the pixels.
   */
  async *unseen(
    data: RecipeData,
    isThere: (content: string) => boolean,
    { size, abortSignal }: { readonly size: number } & Settings,
  ): AsyncGenerator<UnseenPicture, void, undefined> {
    const loading = new Map<number, Loading>(); // by the loader's numbers: keys may come twice
    const byContent = new Map<string, Loading>();
    let drawn = 0;
    const before = this.#recordCount;
    const all = data.once();
    const next = async (settings: Settings = {}): Promise<DatasetRecord | undefined> => {
      const index = drawn++;
      for (;;) {
        abortSignal?.throwIfAborted(); // all may be known, and nothing come out for long
        const record = await this.#nextRecord(all, settings);
        if (record === undefined) return undefined;
        const found = await this.#look(record, settings);
        if (found === undefined || isThere(found.content)) continue;
        const image = { key: record.key, place: placeOf(record), stamp: found.stamp };
        const equal = byContent.get(found.content);
        if (equal?.problem !== undefined) this.#addBroken(image, likeAnother(image, equal));
        equal?.images.push(image);
        if (equal !== undefined) continue;
        const { content, bytes = await record.readImage(settings) } = found;
        const one: Loading = { content, images: [image] };
        loading.set(index, one);
        byContent.set(content, one);
        return { ...record, readImage: async () => bytes };
      }
    };
    const onBroken = ({ key, index, cause }: BrokenRow): void => {
      const one = loading.get(index);
      loading.delete(index);
      if (one === undefined) return this.#addBroken({ key }, cause);
      one.problem = cause;
      for (const [which, image] of one.images.entries()) this.#addBroken(image, which === 0 ? cause : likeAnother(image, one));
    };
    const records = forwardStream(all.name, next, () => all.close());
    await using loader = loadPixels(records, { size, augmentation: false, maxBrokenShare: 1, onBroken });
    for await (const { index, image } of loader) {
      const { content } = loading.get(index)!;
      loading.delete(index);
      yield { key: content, pixels: image };
    }
    this.#records.set(data, this.#recordCount - before);
  }

  /** @throws {InputError} when more is broken than may be. */
  assertShares(): void {
    this.#counts.images.assertShare(this.#imageCount);
    this.#counts.records.assertShare(this.#recordCount);
  }

  /** It is not tried again before its file changes. */
  #addBroken({ key, place, stamp }: Image, cause: Blip2Error): void {
    if (place !== undefined) this.#contents.set(place, undefined);
    if (stamp !== undefined) this.#known.set({ ...stamp, problem: cause.message });
    this.#counts.images.add({ key, index: this.#imageCount, cause });
  }

  async #nextRecord(all: RecordStream, settings: Settings): Promise<DatasetRecord | undefined> {
    for (;;) {
      this.#counts.images.assertFew(this.#imageCount);
      this.#counts.records.assertFew(this.#recordCount);
      try {
        const record = await all.next(settings);
        if (record !== undefined) this.#recordCount++;
        return record;
      } catch (cause) {
        if (!DatasetError.isInstance(cause)) throw cause;
        this.#counts.records.add({ key: undefined, index: this.#recordCount++, cause });
      }
    }
  }

  /** A record's image; nothing where its place was looked at before, or it is broken. */
  async #look(record: DatasetRecord, settings: Settings): Promise<FoundImage | undefined> {
    const place = placeOf(record);
    if (place !== undefined && this.#contents.has(place)) return undefined;
    this.#imageCount++;
    const stamp = record.imageFiles && (await stampOf(record.imageFiles));
    const known = stamp && this.#known.get(stamp);
    try {
      const found = known === undefined ? await read(record, settings) : contentIn(known);
      if (place !== undefined) this.#contents.set(place, found.content);
      if (stamp !== undefined && known === undefined) this.#known.set({ ...stamp, content: found.content });
      return { ...found, stamp };
    } catch (cause) {
      if (!DatasetError.isInstance(cause) && !ImageError.isInstance(cause)) throw cause;
      if (place !== undefined) this.#contents.set(place, undefined);
      this.#counts.images.add({ key: record.key, index: this.#imageCount, cause });
      return undefined;
    }
  }
}

async function read(record: DatasetRecord, settings: Settings): Promise<FoundImage> {
  const bytes = await record.readImage(settings);
  return { content: contentOf(bytes), bytes };
}

function contentIn({ content, problem = 'is broken' }: KnownFile): FoundImage {
  if (content === undefined) throw new ImageError(problem);
  return { content };
}

function likeAnother({ key, stamp }: Image, { images }: Loading): ImageError {
  return new ImageError(`${stamp?.path ?? key}: has the bytes of ${images[0]!.key}, which cannot be decoded. Replace both.`);
}

/** Records of one place show one image. Absent where bytes come from no file. */
function placeOf({ imageFiles }: DatasetRecord): string | undefined {
  return imageFiles?.join('\n');
}
