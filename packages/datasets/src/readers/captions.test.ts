import { describe, expect, it } from 'vitest';
import { problemOf, temporaryFolder } from '../__fixtures__/temporary-folder.ts';
import { concatenateDatasets, filterDataset } from '../records/indexed-dataset.ts';
import { readCocoCaptions, readFlickr30kCaptions, readNoCaps } from './captions.ts';
import { imageText, karpathy, rowsOf } from './readers-test-support.ts';

const officialFile = {
  info: { year: 2014, contributors: ['x'] },
  annotations: [
    { image_id: 9, id: 1, caption: 'Food' },
    { image_id: 522418, id: 2, caption: 'A woman' },
    { image_id: 9, id: 3, caption: 'More food' },
  ],
  licenses: [{ id: 1 }],
  images: [
    { license: 5, file_name: 'COCO_train2014_000000000009.jpg', height: 480, width: 640, id: 9 },
    { license: 5, file_name: 'COCO_val2014_000000522418.jpg', id: 522418 },
  ],
};

describe('COCO captions', () => {
  it("reads Karpathy's file: restval is training", async () => {
    const folder = await temporaryFolder();
    const path = await folder.write('dataset_coco.json', karpathy);
    const all = await readCocoCaptions(path, { images: folder.path });
    expect(rowsOf(all)).toEqual([
      { key: 'coco:522418#0', imageKey: 'coco:522418', imageId: 522418, captions: ['A woman'], split: 'train' },
      { key: 'coco:522418#1', imageKey: 'coco:522418', imageId: 522418, captions: ['A cake '], split: 'train' },
      { key: 'coco:9#0', imageKey: 'coco:9', imageId: 9, captions: ['Food'], split: 'train' },
      { key: 'coco:42#0', imageKey: 'coco:42', imageId: 42, captions: ['A shoe'], split: 'val' },
    ]);
    const train = await readCocoCaptions(path, { images: folder.path, split: 'train', rows: 'image' });
    expect(rowsOf(train)).toEqual([
      { key: 'coco:522418', imageKey: 'coco:522418', imageId: 522418, captions: ['A woman', 'A cake '], split: 'train' },
      { key: 'coco:9', imageKey: 'coco:9', imageId: 9, captions: ['Food'], split: 'train' },
    ]);
  });

  it('reads official files, whatever the order of their lists', async () => {
    const folder = await temporaryFolder();
    const { annotations, images, info, licenses } = officialFile;
    for (const [name, content] of [
      ['a.json', officialFile],
      ['b.json', { info, images, licenses, annotations }],
    ] as const) {
      const rows = rowsOf(await readCocoCaptions(await folder.write(name, content), { images: folder.path, rows: 'image' }));
      expect(rows).toEqual([
        { key: 'coco:9', imageKey: 'coco:9', imageId: 9, captions: ['Food', 'More food'] },
        { key: 'coco:522418', imageKey: 'coco:522418', imageId: 522418, captions: ['A woman'] },
      ]);
    }
  });

  it('reads the lists of LAVIS, one caption an entry or all of them, and the ground truth of its splits', async () => {
    const folder = await temporaryFolder();
    const image = 'val2014/COCO_val2014_000000522418.jpg';
    const train = [
      { caption: 'A woman', image, image_id: 'coco_522418' },
      { caption: 'Food', image: 'train2014/COCO_train2014_000000000009.jpg', image_id: 'coco_9' },
      { caption: 'A cake', image, image_id: 'coco_522418' },
    ];
    const rows = rowsOf(await readCocoCaptions(await folder.write('train.json', train), { images: folder.path }));
    expect(rows.map(({ key, captions }) => [key, ...captions!])).toEqual([
      ['coco:522418#0', 'A woman'],
      ['coco:522418#1', 'A cake'],
      ['coco:9#0', 'Food'],
    ]);
    const val = await folder.write('val.json', [{ image, caption: ['A woman', 'A cake'] }]);
    const truth = { images: [{ id: 522418 }], annotations: [1, 2].map((id) => ({ id, image_id: 522418, caption: `${id}` })) };
    const [fromVal] = rowsOf(await readCocoCaptions(val, { images: folder.path, rows: 'image' }));
    expect(fromVal?.captions).toEqual(['A woman', 'A cake']);
    const groundTruth = await readCocoCaptions(await folder.write('gt.json', truth), { images: folder.path, rows: 'image' });
    await folder.write(image, 'the picture');
    expect(groundTruth.at(0).captions).toEqual(['1', '2']);
    expect(await imageText(groundTruth.at(0))).toBe('the picture');
  });

  it('finds images with and without the folders that the file names', async () => {
    const folder = await temporaryFolder();
    const dataset = await readCocoCaptions(await folder.write('dataset_coco.json', karpathy), { images: folder.path });
    await folder.write('val2014/COCO_val2014_000000522418.jpg', 'in its folder');
    await folder.write('COCO_train2014_000000000009.jpg', 'bare');
    expect(await imageText(dataset.at(0))).toBe('in its folder');
    expect(await imageText(dataset.at(2))).toBe('bare');
    expect(await problemOf(dataset.at(3).readImage(), folder)).toMatchInlineSnapshot(
      `"val2014/COCO_val2014_000000000042.jpg: there is no such file, nor 'COCO_val2014_000000000042.jpg' in FOLDER. Check the folder of images, or download those that are missing."`,
    );
    const reason = new Error('enough');
    await expect(dataset.at(0).readImage({ abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

it('Flickr30K', async () => {
  const folder = await temporaryFolder();
  const file = {
    images: [
      { sentids: [0], imgid: 0, sentences: [{ raw: 'Two men' }], split: 'train', filename: '1000092795.jpg' },
      { sentences: [{ raw: 'A dog' }], split: 'test', filename: '36979.jpg' },
    ],
    dataset: 'flickr30k',
  };
  const options = { images: folder.path, split: 'test' };
  const test = await readFlickr30kCaptions(await folder.write('dataset_flickr30k.json', file), options);
  expect(rowsOf(test)).toEqual([
    { key: 'flickr30k:36979#0', imageKey: 'flickr30k:36979', imageId: 36979, captions: ['A dog'], split: 'test' },
  ]);
  const list = await folder.write('list.json', [{ image: 'flickr30k-images/36979.jpg', caption: ['A dog', 'It'] }]);
  const fromList = await readFlickr30kCaptions(list, { images: folder.path, rows: 'image' });
  expect(rowsOf(fromList)).toEqual([
    { key: 'flickr30k:36979', imageKey: 'flickr30k:36979', imageId: 36979, captions: ['A dog', 'It'] },
  ]);
  await folder.write('flickr30k-images/36979.jpg', 'dog');
  expect([await imageText(test.at(0)), await imageText(fromList.at(0))]).toEqual(['dog', 'dog']);
});

it('NoCaps', async () => {
  const folder = await temporaryFolder();
  const file = {
    images: [
      { id: 0, file_name: '0013ea2087020901.jpg', open_images_id: '0013ea2087020901', domain: 'in-domain', height: 1024 },
      { id: 1, file_name: '001464cfae2a30b8.jpg', domain: 'out-domain' },
    ],
    annotations: [
      { id: 0, image_id: 0, caption: 'A baby' },
      { id: 1, image_id: 0, caption: 'A child' },
    ],
  };
  const dataset = await readNoCaps(await folder.write('nocaps_val_4500_captions.json', file), { images: folder.path });
  const [first] = rowsOf(dataset);
  expect(first).toEqual({
    key: 'openimages:0013ea2087020901',
    imageKey: 'openimages:0013ea2087020901',
    imageId: 0,
    captions: ['A baby', 'A child'],
    domain: 'in-domain',
  });
  expect(dataset.at(1).captions).toEqual([]);
  expect(rowsOf(filterDataset(dataset, ({ domain }) => domain === 'in-domain'))).toEqual([first]);
  const list = [{ image: 'val/0013ea2087020901.jpg', img_id: 0 }];
  const lavis = await readNoCaps(await folder.write('nocaps_val.json', list), { images: folder.path });
  expect([lavis.at(0).imageKey, lavis.at(0).imageId]).toEqual([first?.imageKey, 0]);
  expect(rowsOf(concatenateDatasets([dataset, lavis]))).toHaveLength(3);
});
