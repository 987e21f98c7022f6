import { ConfigError, type DatasetError } from '@blip2/core';
import { type EpochOptions, type IndexedDataset, mixStreams, type RecordStream, streamDataset } from '@blip2/datasets';
import {
  type FolderReaderOptions,
  readCocoCaptions,
  readFlickr30kCaptions,
  readFolder,
  readGqa,
  readNoCaps,
  readVisualGenomeCaptions,
  readVisualGenomeQuestions,
  readVqa,
  streamWebDataset,
} from '@blip2/datasets/node';
import type { DataEntry } from '../data-entry.ts';
import { forwardStream } from './record-streams.ts';

/** One source of records. */
interface DataSource {
  readonly weight: number | undefined;
  /** Absent for shards whose length nobody said. */
  readonly length: number | undefined;
  /** Absent for shards. */
  readonly dataset?: IndexedDataset;
  open(options: EpochOptions): Promise<RecordStream>;
}

/** All records of a recipe. */
export interface RecipeData {
  /** Records; absent where shards have an unknown number. */
  readonly length: number | undefined;
  /** Data sets that can be gone through; none of shards. */
  readonly datasets: readonly IndexedDataset[];
  /** Endless, shuffled, drawn from the sources by their weights. The caller's to close. */
  stream(seed: number): Promise<RecordStream>;
  /** Lines of tables that are broken and were left out. */
  readonly brokenLines: number;
  /** Each record once, source by source; it is read forwards, and the caller's to close. */
  once(): RecordStream;
}

/** Options of {@link openRecipeData}. */
export type OpenDataOptions = Pick<FolderReaderOptions, 'abortSignal' | 'maxBrokenShare' | 'onBroken'>;

/**
 * Opens the sources of a recipe: tables are read, images are not.
 *
 * @throws {DatasetError} naming file and entry, when one is missing or malformed.
 */
export async function openRecipeData(entries: readonly DataEntry[], options: OpenDataOptions = {}): Promise<RecipeData> {
  const sources: DataSource[] = [];
  let brokenLines = 0;
  const onBroken = (problem: DatasetError): void => {
    brokenLines++;
    options.onBroken?.(problem);
  };
  for (const entry of entries) sources.push(await openSource(entry, { ...options, onBroken }));
  const lengths = sources.map(({ length }) => length);
  const length = lengths.every((one) => one !== undefined) ? lengths.reduce((sum, one) => sum + one, 0) : undefined;
  const unknown = sources.findIndex((source) => source.weight === undefined && source.length === undefined);
  if (unknown !== -1 && sources.length > 1) {
    throw new ConfigError(
      `data[${unknown}]: is a WebDataset without weight and length, expected one of them where there are several sources. Add 'weight'.`,
    );
  }
  return {
    length,
    datasets: sources.flatMap(({ dataset }) => dataset ?? []),
    async stream(seed) {
      const parts = await Promise.all(
        sources.map(async (source) => ({ stream: await source.open({ seed }), weight: source.weight ?? source.length ?? 1 })),
      );
      return parts.length === 1 ? parts[0]!.stream : mixStreams(parts, { seed });
    },
    brokenLines,
    once: () => oneAfterAnother(sources),
  };
}

/** The records of sources once, from the first to the last; broken ones reject `next`, which goes on after them. */
function oneAfterAnother(sources: readonly DataSource[]): RecordStream {
  const left = [...sources];
  let open: RecordStream | undefined;
  const close = async (): Promise<void> => {
    const stream = open;
    open = undefined;
    await stream?.close();
  };
  const next: RecordStream['next'] = async (options) => {
    for (;;) {
      const source = open === undefined ? left.shift() : undefined;
      if (source !== undefined) open = await source.open({ shuffle: false, epochs: 1 });
      if (open === undefined) return undefined;
      const record = await open.next(options);
      if (record !== undefined) return record;
      await close();
    }
  };
  return forwardStream('images', next, close);
}

async function openSource(entry: DataEntry, options: OpenDataOptions): Promise<DataSource> {
  const { weight } = entry;
  if (entry.format === 'webdataset') {
    const { path, name, length } = entry;
    return { weight, length, open: (epochs) => streamWebDataset(path, { ...epochs, ...(name !== undefined && { name }) }) };
  }
  const dataset = await readDataset(entry, options);
  return { weight, length: dataset.length, dataset, open: async (epochs) => streamDataset(dataset, epochs) };
}

function readDataset(
  entry: Exclude<DataEntry, { readonly format: 'webdataset' }>,
  { abortSignal, maxBrokenShare, onBroken }: OpenDataOptions,
): Promise<IndexedDataset> {
  switch (entry.format) {
    case 'folder': {
      const { path, images, name, split } = entry;
      return readFolder(path, { images, name, split, abortSignal, maxBrokenShare, onBroken });
    }
    case 'coco':
      return readCocoCaptions(entry.path, { images: entry.images, split: entry.split, abortSignal });
    case 'flickr30k':
      return readFlickr30kCaptions(entry.path, { images: entry.images, split: entry.split, abortSignal });
    case 'visual-genome':
      return readVisualGenomeCaptions(entry.path, { images: entry.images, abortSignal });
    case 'nocaps':
      return readNoCaps(entry.path, { images: entry.images, abortSignal });
    case 'vqav2':
      return readVqa(entry.path as string, { images: entry.images, annotations: entry.annotations, abortSignal });
    case 'gqa':
      return readGqa(entry.path, { images: entry.images, abortSignal });
    case 'visual-genome-questions':
      return readVisualGenomeQuestions(entry.path as string, {
        images: entry.images,
        abortSignal,
        ...(entry.answerWeight !== undefined && { answerWeight: entry.answerWeight }),
      });
  }
}
