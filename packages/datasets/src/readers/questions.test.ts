import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../__fixtures__/temporary-folder.ts';
import { weightAnswers } from '../records/record.ts';
import { readVisualGenomeCaptions } from './captions.ts';
import { readGqa, readVisualGenomeQuestions, readVqa } from './questions.ts';
import { imageText, rowsOf } from './readers-test-support.ts';

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
