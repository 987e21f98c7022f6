import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf, temporaryFolder } from '../__fixtures__/temporary-folder.ts';
import { concatenateDatasets, filterDataset } from '../records/indexed-dataset.ts';
import { type DatasetRecord, type IndexedDataset, weightAnswers } from '../records/record.ts';
import { readCocoCaptions, readFlickr30kCaptions, readNoCaps, readVisualGenomeCaptions } from './captions.ts';
import { readFolder } from './folder.ts';
import { readGqa, readVisualGenomeQuestions, readVqa } from './questions.ts';

/** All rows, without what leads to the image. */
function rowsOf(dataset: IndexedDataset): Omit<DatasetRecord, 'readImage' | 'imageFiles'>[] {
  return Array.from({ length: dataset.length }, (_, index) => {
    const { readImage, imageFiles, ...row } = dataset.at(index);
    expect(readImage).toBeTypeOf('function');
    expect(imageFiles!.length).toBeGreaterThan(0);
    return row;
  });
}

const imageText = async (record: DatasetRecord): Promise<string> => new TextDecoder().decode(await record.readImage());

const karpathy = {
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

describe('Visual Genome', () => {
  it('regions are captions', async () => {
    const folder = await temporaryFolder();
    const file = [
      { id: 2, regions: [{ region_id: 1, phrase: 'a road', x: 1 }, { phrase: 'a bus' }] },
      { id: 2345, regions: [] },
      { id: 7, regions: [{ phrase: 'sky' }] },
    ];
    const options = { images: folder.path };
    const official = await readVisualGenomeCaptions(await folder.write('region_descriptions.json', file), options);
    expect(rowsOf(official).map(({ key, captions }) => [key, ...captions!])).toEqual([
      ['vg:2#0', 'a road'],
      ['vg:2#1', 'a bus'],
      ['vg:7#0', 'sky'],
    ]);
    const list = [{ image: 'VG_100K_2/7.jpg', caption: 'sky', image_id: 'vg_7' }];
    const lavis = await readVisualGenomeCaptions(await folder.write('vg_caption.json', list), options);
    await folder.write('VG_100K_2/7.jpg', 'picture 7');
    expect(await Promise.all([official.at(2), lavis.at(0)].map(imageText))).toEqual(['picture 7', 'picture 7']);
    expect(lavis.at(0).imageKey).toBe(official.at(2).imageKey);
  });

  it('questions have one answer', async () => {
    const folder = await temporaryFolder();
    const file = [{ id: 2, qas: [{ qa_id: 986769, question: 'What?', image_id: 2, answer: 'A bus.' }] }];
    const list = [{ question_id: 986769, question: 'What?', answer: 'A bus.', image: 'VG_100K/2.jpg', dataset: 'vg' }];
    const expected = (weight: number) => [
      {
        key: 'visual-genome-questions:986769',
        imageKey: 'vg:2',
        imageId: 2,
        question: { id: 986769, text: 'What?', answers: [{ answer: 'A bus.', weight }] },
      },
    ];
    for (const content of [file, list]) {
      const path = await folder.write('vg_qa.json', content);
      expect(rowsOf(await readVisualGenomeQuestions(path, { images: folder.path }))).toEqual(expected(1));
      const light = await readVisualGenomeQuestions(path, { images: folder.path, answerWeight: 0.2 });
      expect(rowsOf(light)).toEqual(expected(0.2));
    }
  });
});

describe('VQAv2', () => {
  const answers = ['net', 'net', 'net', 'netting', 'net', 'net', 'mesh', 'net', 'net', 'net'];
  const questions = {
    info: {},
    task_type: 'Open-Ended',
    questions: [{ image_id: 458752, question: 'What is this photo taken looking through?', question_id: 458752000 }],
    data_subtype: 'train2014',
  };
  const annotations = {
    annotations: [
      {
        question_type: 'what',
        answer_type: 'other',
        multiple_choice_answer: 'net',
        answers: answers.map((answer, index) => ({ answer, answer_confidence: 'maybe', answer_id: index + 1 })),
        image_id: 458752,
        question_id: 458752000,
      },
    ],
  };
  const weighted = [
    { answer: 'net', weight: 0.8 },
    { answer: 'netting', weight: 0.1 },
    { answer: 'mesh', weight: 0.1 },
  ];

  it('joins official questions and answers', async () => {
    const folder = await temporaryFolder();
    const path = await folder.write('questions.json', questions);
    const dataset = await readVqa(path, {
      images: folder.path,
      annotations: await folder.write('annotations.json', annotations),
    });
    expect(rowsOf(dataset)).toEqual([
      {
        key: 'vqav2:458752000',
        imageKey: 'coco:458752',
        imageId: 458752,
        split: 'train',
        question: { id: 458752000, text: 'What is this photo taken looking through?', answers: weighted },
      },
    ]);
    await folder.write('train2014/COCO_train2014_000000458752.jpg', 'net');
    expect(await imageText(dataset.at(0))).toBe('net');
    const without = await readVqa(path, { images: folder.path });
    expect(without.at(0).question).toEqual({ id: 458752000, text: 'What is this photo taken looking through?' });
  });

  it('test-dev asks about images of test2015', async () => {
    const folder = await temporaryFolder();
    const file = { ...questions, data_subtype: 'test-dev2015' };
    const dataset = await readVqa(await folder.write('q.json', file), { images: folder.path });
    await folder.write('test2015/COCO_test2015_000000458752.jpg', 'test');
    expect([dataset.at(0).split, await imageText(dataset.at(0))]).toEqual(['test', 'test']);
  });

  it('reads lists of LAVIS, with and without answers', async () => {
    const folder = await temporaryFolder();
    const image = 'train2014/COCO_train2014_000000458752.jpg';
    const list = [
      { question_id: 1, question: 'What?', answer: answers, image, dataset: 'vqa' },
      { question_id: 2, question: 'Why?', image },
    ];
    const rows = rowsOf(await readVqa(await folder.write('vqa_train.json', list), { images: folder.path }));
    expect(rows.map(({ question }) => question)).toEqual([
      { id: 1, text: 'What?', answers: weighted },
      { id: 2, text: 'Why?' },
    ]);
  });

  it('weights of answers', () => {
    expect(weightAnswers(answers)).toEqual(weighted);
    expect(weightAnswers([])).toEqual([]);
    expect(weightAnswers(['constructor', '__proto__', 'constructor']).map(({ answer }) => answer)).toEqual([
      'constructor',
      '__proto__',
    ]);
  });
});

it('GQA', async () => {
  const folder = await temporaryFolder();
  const first = {
    '201307251': { semantic: [{ operation: 'x' }], question: 'Is it red?', imageId: 'n161313', isBalanced: true, answer: 'no' },
  };
  const second = { '02930152': { question: 'Is the sky dark?', imageId: '2354786' } };
  const paths = [await folder.write('train_0.json', first), await folder.write('train_1.json', second)];
  const dataset = await readGqa(paths, { images: folder.path });
  expect(rowsOf(dataset)).toEqual([
    {
      key: 'gqa:201307251',
      imageKey: 'gqa:n161313',
      imageId: 'n161313',
      question: { id: '201307251', text: 'Is it red?', answers: [{ answer: 'no', weight: 1 }] },
    },
    { key: 'gqa:02930152', imageKey: 'vg:2354786', imageId: '2354786', question: { id: '02930152', text: 'Is the sky dark?' } },
  ]);
  await folder.write('images/n161313.jpg', 'picture');
  expect(await imageText(dataset.at(0))).toBe('picture');
  const list = [{ question_id: '201307251', question: 'Is it red?', answer: 'no', image: 'n161313.jpg' }];
  const lavis = await readGqa(await folder.write('list.json', list), { images: folder.path });
  expect(rowsOf(lavis)).toEqual(rowsOf(dataset).slice(0, 1));
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

describe('a folder with a table', () => {
  it('reads JSON lines', async () => {
    const folder = await temporaryFolder();
    await folder.write(
      'metadata.jsonl',
      '\uFEFF{"file_name": "rex.jpg", "text": "a dog"}\n\n{"image": "cats/tom.png", "captions": ["a cat", "tom"], "split": "val"}\r\n' +
        '{"image": "rex.jpg", "question": "who?", "answers": ["rex", "rex", "a dog"], "extra": {}}',
    );
    await folder.write('rex.jpg', 'REX');
    const dataset = await readFolder(folder.path, { name: 'pets' });
    expect(rowsOf(dataset)).toEqual([
      { key: 'pets:1', imageKey: 'pets:rex.jpg', imageId: 'rex.jpg', captions: ['a dog'] },
      { key: 'pets:3', imageKey: 'pets:cats/tom.png', imageId: 'cats/tom.png', captions: ['a cat', 'tom'], split: 'val' },
      {
        key: 'pets:4',
        imageKey: 'pets:rex.jpg',
        imageId: 'rex.jpg',
        question: {
          id: 'pets:4',
          text: 'who?',
          answers: [
            { answer: 'rex', weight: 2 / 3 },
            { answer: 'a dog', weight: 1 / 3 },
          ],
        },
      },
    ]);
    expect(await imageText(dataset.at(0))).toBe('REX');
    expect((await readFolder(folder.path, { split: 'val' })).length).toBe(1);
  });

  it('reads CSV: quotes, line breaks, lists, empty fields', async () => {
    const folder = await temporaryFolder();
    const path = await folder.write(
      'table.csv',
      '\uFEFFimage,caption,captions,question,answer\r\nrex.jpg,"a ""dog"",\nrunning",,,\r\n' +
        'tom.png,,"[""a cat"", ""tom""]",who?,tom\r\nodd.png,[sic] a cat,,,\r\n',
    );
    const dataset = await readFolder(path, { images: '/somewhere', name: 'pets' });
    expect(rowsOf(dataset)).toEqual([
      { key: 'pets:3', imageKey: 'pets:rex.jpg', imageId: 'rex.jpg', captions: ['a "dog",\nrunning'] },
      {
        key: 'pets:4',
        imageKey: 'pets:tom.png',
        imageId: 'tom.png',
        captions: ['a cat', 'tom'],
        question: { id: 'pets:4', text: 'who?', answers: [{ answer: 'tom', weight: 1 }] },
      },
      { key: 'pets:5', imageKey: 'pets:odd.png', imageId: 'odd.png', captions: ['[sic] a cat'] },
    ]);
  });
});

describe('broken rows of a table', () => {
  const refusal = (path: string, maxBrokenShare: number, folder: string): Promise<string> =>
    readFolder(path, { name: 'pets', maxBrokenShare }).then(
      () => 'nothing was refused',
      (error: Error) => error.message.replaceAll(`${folder}/`, ''),
    );
  const good = (count: number): string[] => Array.from({ length: count }, (_, index) => `{"image": "${index}.png", "text": "x"}`);

  it('are left out and reported up to a share, and end the work beyond it', async () => {
    const folder = await temporaryFolder();
    const lines = good(20);
    lines.splice(3, 0, '{"image": "a.png", "text": ');
    lines.splice(9, 0, '{"text": "no image"}');
    const path = await folder.write('captions.jsonl', lines.join('\n'));
    const problems: string[] = [];
    const onBroken = ({ message }: Error): void => void problems.push(message.replaceAll(`${folder.path}/`, ''));
    const dataset = await readFolder(path, { name: 'pets', maxBrokenShare: 0.1, onBroken });
    expect(dataset.length).toBe(20);
    expect(dataset.at(3)).toMatchObject({ key: 'pets:5', imageFiles: [join(folder.path, '3.png')] });
    expect(problems).toMatchInlineSnapshot(`
      [
        "captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line.",
        "captions.jsonl: line 10: names no image, expected one in 'image' or 'file_name'. Add it.",
      ]
    `);
    expect(await refusal(path, 0.05, folder.path)).toMatchInlineSnapshot(`
      "readFolder: pets: 2 of 22 rows are broken, expected at most 5 %. The first:
        captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line.
        captions.jsonl: line 10: names no image, expected one in 'image' or 'file_name'. Add it.
      Repair the data set, or raise maxBrokenShare."
    `);
    expect(await problemOf(readFolder(path), folder)).toMatchInlineSnapshot(
      `"captions.jsonl: line 4: is broken JSON, expected one object a line. Correct the line."`,
    );
    await folder.write('captions.jsonl', [...good(2), 'nonsense'].join('\n'));
    expect((await readFolder(path, { maxBrokenShare: 0.01 })).length).toBe(2); // one alone is borne
    await folder.write('captions.jsonl', 'nonsense');
    expect(await refusal(path, 0.5, folder.path)).toContain('1 of 1 rows are broken');
  });

  it('of CSV too, but not a quote that swallows the rest', async () => {
    const folder = await temporaryFolder();
    const path = await folder.write('table.csv', 'image,caption\na.png,one\nb.png,two,too many\nc.png,three\n');
    const problems: string[] = [];
    const options = { maxBrokenShare: 0.01, onBroken: ({ message }: Error) => problems.push(message.replace(folder.path, '')) };
    const dataset = await readFolder(path, options);
    expect(rowsOf(dataset).map(({ captions }) => captions)).toEqual([['one'], ['three']]);
    expect(problems).toMatchInlineSnapshot(`
      [
        "/table.csv: is broken CSV: Invalid Record Length: columns length is 2, got 3 on line 3. Correct the line; a quote in a quoted field is written twice.",
      ]
    `);
    const open = await folder.write('open.csv', 'image,caption\na.png,one\nb.png,"two\nc.png,three\n');
    expect(await problemOf(readFolder(open, options), folder)).toContain('Quote Not Closed');
  });
});

describe('what cannot be read is refused with file and entry', () => {
  it('annotations', async () => {
    const folder = await temporaryFolder();
    const options = { images: folder.path };
    const coco = async (content: unknown) => readCocoCaptions(await folder.write('coco.json', content), options);
    const vqa = async (content: unknown, annotations?: string) =>
      readVqa(await folder.write('vqa.json', content), { ...options, annotations });
    const [karpathyFirst] = karpathy.images;
    const questions = [{ question_id: 1, question: 'What?', image_id: 5 }];
    const listed = { question_id: 1, question: 'What?', image: 'a/COCO_val2014_000000000001.jpg' };
    const problems = [
      () => readCocoCaptions(join(folder.path, 'missing.json'), options),
      () => readCocoCaptions(folder.path, options),
      () => coco('[{"image": "1.jpg", "caption": "x"}, {"image": '),
      () => coco('[{"image": "1.jpg", "caption": "x"} {}]'),
      () => coco('not JSON'),
      () => coco(''),
      () => coco([]),
      () => coco({ info: 5 }),
      () => coco([{ image: '1.jpg', caption: 5 }]),
      () => coco([{ image: '1.jpg', caption: ['a', null] }]),
      () => coco(['x'.repeat(100)]),
      () => coco([{ image: 'dog.jpg', caption: 'a dog' }]),
      () => coco({ images: [{ id: 1, file_name: '1.jpg' }], annotations: [{ image_id: 2, caption: 'x' }] }),
      () => coco({ images: [{ ...karpathyFirst, cocoid: 7 }] }),
      () => coco({ images: [{ ...karpathyFirst, sentences: [{ tokens: [] }] }] }),
      async () => readCocoCaptions(await folder.write('k.json', karpathy), { ...options, split: 'dev' }),
      async () => readNoCaps(await folder.write('n.json', { images: [{ id: 0 }] }), options),
      async () => readVisualGenomeCaptions(await folder.write('v.json', [{ id: 1, regions: [{ x: 5 }] }]), options),
      () => vqa({ questions: [...questions, ...questions] }),
      () => vqa({ questions, data_subtype: 7 }),
      async () =>
        vqa({ questions }, await folder.write('a.json', { annotations: [{ question_id: 2, answers: [{ answer: 'x' }] }] })),
      () => vqa({ questions: [{ question_id: 1, question: 'What?', image_id: '5' }] }),
      () => vqa([listed, listed]),
      async () => readGqa(await folder.write('g.json', { '5': { question: 'What?' } }), options),
      async () => readGqa(await folder.write('g2.json', { '5': [1] }), options),
    ];
    const messages: string[] = [];
    // One after another: some write the same file.
    for (const [index, problem] of problems.entries()) messages.push(`${index}: ${await problemOf(problem(), folder)}`);
    expect(messages).toMatchInlineSnapshot(`
      [
        "0: missing.json: cannot be read: there is no such file. Check the path.",
        "1: FOLDER: cannot be read: it is a folder. Pass the path of a file.",
        "2: coco.json: ends in the middle (entry 1). Expected complete JSON. Download or copy it again.",
        "3: coco.json: is broken JSON (entry 0). Expected complete JSON. Download or copy it again.",
        "4: coco.json: is no JSON list or object. Expected complete JSON. Download or copy it again.",
        "5: coco.json: is empty. Expected complete JSON. Download or copy it again.",
        "6: coco.json: has no captions, expected at least one. Check that the file is the one you mean.",
        "7: coco.json: has no captions, expected at least one. Check that the file is the one you mean.",
        "8: coco.json: entry 0: caption is 5, expected a text or a list of texts. Check that the file is the one you mean, or correct it.",
        "9: coco.json: entry 0: caption is ["a",null], expected a text or a list of texts. Check that the file is the one you mean, or correct it.",
        "10: coco.json: entry 0: is "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, expected { image, caption }. Check that the file is the one you mean, or correct it.",
        "11: coco.json: entry 0: the image is named 'dog.jpg', expected a name that ends in its number, as all of this data set do. Check that the file is the one you mean.",
        "12: coco.json: entry 0 of 'annotations': image_id is 2, expected the id of one of 'images'. Download the file again.",
        "13: coco.json: entry 0 of 'images': cocoid is 7, expected 522418 as in its filename 'COCO_val2014_000000522418.jpg'. Download the file again.",
        "14: coco.json: entry 0 of 'images': sentences.0.raw is missing, expected a text. Check that the file is the one you mean, or correct it.",
        "15: k.json: no image is of the split 'dev', expected one of those in the file: train, val. Pass one of them, or leave the split out for a file that has only one.",
        "16: n.json: entry 0 of 'images': file_name is missing, expected a text. Check that the file is the one you mean, or correct it.",
        "17: v.json: entry 0: regions.0.phrase is missing, expected a text. Check that the file is the one you mean, or correct it.",
        "18: vqa.json: entry 1 of 'questions': the question id 1 comes a second time, expected each once. Correct the file, or download it again.",
        "19: vqa.json: 'data_subtype': is 7, expected a text. Check that the file is the one you mean, or correct it.",
        "20: vqa.json: entry 0 of 'questions': a.json has no answers to question 1, expected some. Pass the two files of one split.",
        "21: vqa.json: entry 0 of 'questions': image_id is "5", expected the number of an image. Check that the file is the one you mean, or correct it.",
        "22: vqa.json: entry 1: the question id 1 comes a second time, expected each once. Correct the file, or download it again.",
        "23: g.json: '5': imageId is missing, expected a text. Check that the file is the one you mean, or correct it.",
        "24: g2.json: entry 0 of '5': is 1, expected { question, imageId }. Check that the file is the one you mean, or correct it.",
      ]
    `);
  });

  it('names that lead out of the folder', async () => {
    const folder = await temporaryFolder();
    const names = ['../1.jpg', '/etc/1.jpg', 'a/../../1.jpg', './1.jpg', 'a//1.jpg', 'C:\\1.jpg', 'a\\1.jpg', 'a\u00001.jpg', ''];
    for (const name of names) {
      const list = await folder.write('list.json', [{ image: name, caption: 'x', question_id: 1, question: 'y', img_id: 1 }]);
      const table = await folder.write('metadata.jsonl', JSON.stringify({ image: name, caption: 'x' }));
      const options = { images: folder.path };
      const coco = { images: [{ id: 1, file_name: name }], annotations: [{ image_id: 1, caption: 'x' }] };
      const gqa = { 1: { question: 'x', imageId: name } };
      const readers = [
        () => readCocoCaptions(list, options),
        () => readFlickr30kCaptions(list, options),
        () => readVisualGenomeCaptions(list, options),
        () => readNoCaps(list, options),
        () => readVqa(list, options),
        () => readVisualGenomeQuestions(list, options),
        () => readGqa(list, options),
        () => readFolder(table),
        async () => readCocoCaptions(await folder.write('coco.json', coco), options),
        async () => readNoCaps(await folder.write('nocaps.json', coco), options),
        ...(name === '' ? [] : [async () => readGqa(await folder.write('gqa.json', gqa), options)]),
      ];
      for (const reader of readers) {
        expect(await problemOf(reader(), folder)).toMatch(/image is named ".*", expected a path below|names no image/);
      }
    }
  });

  it('tables', async () => {
    const folder = await temporaryFolder();
    const jsonl = async (content: string) => readFolder(await folder.write('a.jsonl', content));
    const csv = async (content: string) => readFolder(await folder.write('a.csv', content));
    const problems: string[] = [];
    for (const work of [
      () => readFolder(folder.path),
      () => readFolder(join(folder.path, 'missing.jsonl')),
      () => readFolder(join(folder.path, 'missing.csv')),
      () => jsonl('{"image": "a.jpg"}\n{"image": '),
      () => jsonl('{"image": "a.jpg"}\n5'),
      () => jsonl('{"caption": "x"}'),
      () => jsonl('{"image": "a.jpg", "caption": 7}'),
      () => jsonl('{"image": "a.jpg", "answer": "x"}'),
      () => jsonl(''),
      () => csv('image,caption\na.jpg,x,y\n'),
      () => csv('image,caption\na.jpg,"x\n'),
      () => csv('image,caption\n'),
    ]) {
      problems.push(await problemOf(work(), folder));
    }
    expect(problems).toMatchInlineSnapshot(`
      [
        "FOLDER: is no .jsonl or .csv file, nor a folder with one of metadata.jsonl, metadata.csv, captions.jsonl, captions.csv, data.jsonl, data.csv in it. Write one line an image, such as {"image": "rex.jpg", "caption": "a dog on a beach"}.",
        "missing.jsonl: cannot be read: there is no such file. Check the path.",
        "missing.csv: cannot be read: there is no such file. Check the path.",
        "a.jsonl: line 2: is broken JSON, expected one object a line. Correct the line.",
        "a.jsonl: line 2: is 5, expected an object with image or file_name. Check that the file is the one you mean, or correct it.",
        "a.jsonl: line 1: names no image, expected one in 'image' or 'file_name'. Add it.",
        "a.jsonl: line 1: caption is 7, expected a text or a list of texts. Check that the file is the one you mean, or correct it.",
        "a.jsonl: line 1: has answers ["x"] and no question, expected both. Add the question.",
        "a.jsonl: has no rows, expected at least one. Check the file.",
        "a.csv: is broken CSV: Invalid Record Length: columns length is 2, got 3 on line 2. Correct the line; a quote in a quoted field is written twice.",
        "a.csv: is broken CSV: Quote Not Closed: the parsing is finished with an opening quote at line 2. Correct the line; a quote in a quoted field is written twice.",
        "a.csv: has no rows, expected at least one. Check the file.",
      ]
    `);
  });

  it('images', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder.path, 'a.jpg'));
    await symlink(join(folder.path, 'nowhere'), join(folder.path, 'b.jpg'));
    const path = await folder.write(
      'metadata.jsonl',
      '{"image": "a.jpg"}\n{"image": "b.jpg"}\n{"image": "metadata.jsonl/c.jpg"}',
    );
    const dataset = await readFolder(path);
    const problems = [0, 1, 2].map((index) => problemOf(dataset.at(index).readImage(), folder));
    expect(await Promise.all(problems)).toMatchInlineSnapshot(`
      [
        "a.jpg: is no file, expected an image. Check the folder of images.",
        "b.jpg: there is no such file. Check the folder of images, or download those that are missing.",
        "metadata.jsonl/c.jpg: there is no such file. Check the folder of images, or download those that are missing.",
      ]
    `);
  });
});

it('an abort is heard, with its reason', async () => {
  const folder = await temporaryFolder();
  const path = await folder.write('dataset_coco.json', karpathy);
  const jsonl = await folder.write('a.jsonl', '{"image": "a.jpg"}');
  const csv = await folder.write('a.csv', 'image\na.jpg\n');
  const reason = new Error('enough');
  const open = [
    (abortSignal: AbortSignal) => readCocoCaptions(path, { images: folder.path, abortSignal }),
    (abortSignal: AbortSignal) => readVqa(path, { images: folder.path, annotations: path, abortSignal }),
    (abortSignal: AbortSignal) => readGqa([path], { images: folder.path, abortSignal }),
    (abortSignal: AbortSignal) => readFolder(jsonl, { abortSignal }),
    (abortSignal: AbortSignal) => readFolder(csv, { abortSignal }),
  ];
  for (const read of open) {
    await expect(read(AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const reading = read(controller.signal);
    controller.abort(reason);
    await expect(reading).rejects.toBe(reason);
  }
});
