import type { DatasetRecord, IndexedDataset } from '@blip2/datasets';

/** All rows of a data set, in its order. */
export function recordsIn(dataset: IndexedDataset): DatasetRecord[] {
  return Array.from({ length: dataset.length }, (_, index) => dataset.at(index));
}

/** What `asCaptioner` and its sisters read. */
export function readRecord(record: DatasetRecord): Promise<Uint8Array> {
  return record.readImage();
}
