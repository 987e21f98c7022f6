import { type DatasetRecord, indexedDataset, streamDataset } from '@blip2/datasets';
import { describe, expect, it } from 'vitest';
import { rowBatches } from './row-batches.ts';
import { captionRows, prefixRows, promptedCaptionRows, questionRows } from './rows.ts';

const record = (index: number, more: Partial<DatasetRecord> = {}): DatasetRecord => ({
  key: `r:${index}`,
  imageKey: `i:${Math.floor(index / 2)}`,
  imageId: index,
  readImage: () => Promise.reject(new Error('nobody looks')),
  ...more,
});

/** The i-th record has i mod 3 rows. */
const batches = (length = 7, images = 1) =>
  rowBatches({
    stream: streamDataset(
      indexedDataset('rows', length, (index) => record(index)),
      { seed: 3 },
    ),
    recordOf: (one) => one,
    rowsOf: ({ imageId }, random) => Array.from({ length: Number(imageId) % 3 }, (_, row) => `${imageId}/${row}/${random()}`),
    batchSize: 4,
    images,
    seed: 5,
    make: async (rows, random) => ({
      rows: rows.map(({ row }) => row),
      images: rows.map(({ picture }) => picture),
      drawn: random(),
    }),
  });

describe('batches of rows', () => {
  it('go on from any position with the very rows and numbers', async () => {
    const whole = batches();
    const [expected, positions] = [[], []] as [unknown[], string[]];
    for (let index = 0; index < 12; index++) {
      positions.push(JSON.stringify(whole.position()));
      expected.push(await whole.next({}));
    }
    for (const [index, position] of positions.entries()) {
      const resumed = batches();
      await resumed.seek(JSON.parse(position));
      expect([await resumed.next({}), await resumed.next({})].slice(0, 12 - index)).toEqual(expected.slice(index, index + 2));
    }
  });

  it('have two images where negatives are drawn, and say when there are none', async () => {
    const some = batches(7, 2);
    for (let index = 0; index < 20; index++) expect(new Set((await some.next({})).images).size).toBeGreaterThan(1);
    await expect(batches(2, 2).next({})).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DatasetError: rows: has one image, expected at least 2: negatives are drawn from the others. Add images.]`,
    );
    await expect(batches(1).next({})).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DatasetError: rows: 10000 records in a row have nothing to learn from. Check texts and images.]`,
    );
    await expect(batches().seek({ batches: -1 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: seek: the position of rows is {"batches":-1}, expected one that position() gave. Resume with the data of the same run.]`,
    );
  });
});

describe('rows of a record', () => {
  const caption = record(0, { captions: ['Two DOGS, on a beach!'] });
  const half = (): number => 0.5;

  it('are captions as the models read them', () => {
    expect(captionRows(caption, half)).toEqual([{ caption: 'two dogs, on a beach' }]);
    expect(captionRows(record(0, { captions: ['one', 'two', ' '] }), () => 0.9)).toEqual([{ caption: 'two' }]);
    expect(captionRows(record(0, { captions: ['!!'] }), half)).toEqual([]);
    expect(captionRows(record(0), half)).toEqual([]);
    expect(prefixRows('opt')(caption, half)).toEqual([{ prompt: '', target: 'two dogs, on a beach', weight: 1 }]);
    expect(prefixRows('t5')(caption, half)).toEqual([{ prompt: 'two dogs,', target: 'on a beach', weight: 1 }]);
    expect(promptedCaptionRows('a photo of')(caption, half)).toEqual([
      { prompt: 'a photo of', target: 'two dogs, on a beach', weight: 1 },
    ]);
  });

  it('are a question with each of its answers, or one of them by weight', () => {
    const answers = [
      { answer: 'yes', weight: 0.7 },
      { answer: 'no', weight: 0.3 },
    ];
    const asked = record(0, { question: { id: 1, text: 'Is it (red)?', answers } });
    const template = 'Question: {} Answer:';
    expect(questionRows(template, 'expanded')(asked, half)).toEqual([
      { prompt: 'Question: is it red? Answer:', question: 'is it red?', target: 'yes', weight: 0.7 },
      { prompt: 'Question: is it red? Answer:', question: 'is it red?', target: 'no', weight: 0.3 },
    ]);
    const drawn = [0.1, 0.69, 0.71, 0.99].map((number) => questionRows(template, 'sampled')(asked, () => number)[0]!.target);
    expect(drawn).toEqual(['yes', 'yes', 'no', 'no']);
    expect(questionRows(template, 'expanded')(record(0, { question: { id: 1, text: 'what?' } }), half)).toEqual([]);
  });
});
