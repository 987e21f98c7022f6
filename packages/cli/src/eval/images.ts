import type { DatasetRecord, IndexedDataset } from '@blip2/datasets';

/** The rows of a benchmark; rows about one picture share their `image`, so that it is read once. */
export function imagesOf(dataset: IndexedDataset): { readonly record: DatasetRecord; readonly image: DatasetRecord }[] {
  const known = new Map<string, DatasetRecord>();
  return Array.from({ length: dataset.length }, (_, index) => {
    const record = dataset.at(index);
    const image = known.get(record.imageKey) ?? record;
    known.set(record.imageKey, image);
    return { record, image };
  });
}

/** What `asCaptioner` and its sisters read. */
export function readRecord(record: DatasetRecord): Promise<Uint8Array> {
  return record.readImage();
}
