import { expect } from 'vitest';
import type { DatasetRecord, IndexedDataset } from '../records/record.ts';

/** All rows, without what leads to the image. */
export function rowsOf(dataset: IndexedDataset): Omit<DatasetRecord, 'readImage' | 'imageFiles'>[] {
  return Array.from({ length: dataset.length }, (_, index) => {
    const { readImage, imageFiles, ...row } = dataset.at(index);
    expect(readImage).toBeTypeOf('function');
    expect(imageFiles!.length).toBeGreaterThan(0);
    return row;
  });
}

/** What its image file says. */
export const imageText = async (record: DatasetRecord): Promise<string> => new TextDecoder().decode(await record.readImage());

/** A file of Karpathy's splits. */
export const karpathy: { readonly dataset: string; readonly images: readonly Readonly<Record<string, unknown>>[] } = {
  dataset: 'coco',
  images: [
    {
      filepath: 'val2014',
      filename: 'COCO_val2014_000000522418.jpg',
      cocoid: 522418,
      imgid: 0,
      split: 'restval',
      sentids: [1, 2],
      sentences: [{ tokens: ['a', 'woman'], raw: 'A woman', imgid: 0, sentid: 1 }, { raw: 'A cake ' }],
    },
    {
      filepath: 'train2014',
      filename: 'COCO_train2014_000000000009.jpg',
      cocoid: 9,
      split: 'train',
      sentences: [{ raw: 'Food' }],
    },
    { filepath: 'val2014', filename: 'COCO_val2014_000000000042.jpg', cocoid: 42, split: 'val', sentences: [{ raw: 'A shoe' }] },
  ],
};
