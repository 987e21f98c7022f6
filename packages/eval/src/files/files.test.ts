import type { FileSource } from '@blip2/core/json';
import { describe, expect, it } from 'vitest';
import { messageOf, readMetrics } from '../__fixtures__/metrics.ts';
import { jsonSource } from '../__fixtures__/sources.ts';
import {
  captionResults,
  type CaptionResult,
  cocoAnnotations,
  type CocoCaptionFile,
  karpathyAnnotations,
  lavisAnnotations,
} from '../captions/files.ts';
import { evaluateNoCaps } from '../captions/nocaps.ts';
import { evaluateGqa } from '../gqa/gqa.ts';
import type { GqaAttention, GqaChoices, GqaPrediction, GqaQuestion, GqaSceneGraph } from '../gqa/questions.ts';
import { evaluateVqa } from '../vqa/vqa.ts';
import { readCaptionAnnotations, readCaptionResults } from './captions.ts';
import { readGqaAttention, readGqaChoices, readGqaPredictions, readGqaQuestions, readGqaSceneGraphs } from './gqa.ts';
import { readRetrievalSet } from './retrieval.ts';
import { readLavisQuestions, readVqaAnnotations, readVqaQuestions, readVqaResults } from './vqa.ts';

const KARPATHY = {
  images: [
    {
      filepath: 'val2014',
      filename: 'COCO_val2014_000000000009.jpg',
      cocoid: 9,
      imgid: 0,
      split: 'val',
      sentids: [0],
      sentences: [{ raw: 'A cat.', tokens: ['a', 'cat'], imgid: 0, sentid: 0 }],
    },
    ...[8, 7].map((cocoid) => ({
      filepath: 'val2014',
      filename: `COCO_val2014_00000000000${cocoid}.jpg`,
      cocoid,
      split: 'test',
      sentences: [
        { raw: 'A dog.', tokens: ['a', 'dog'] },
        { raw: `${cocoid} dogs`, tokens: [] },
      ],
    })),
  ],
  dataset: 'coco',
};
const LAVIS = [
  { image: 'val2014/COCO_val2014_000000000042.jpg', caption: ['a', 'b'] },
  { image: 'val2014/COCO_val2014_000000000007.jpg', caption: ['c'] },
];

describe('captions', () => {
  const nocaps = readMetrics('nocaps.json') as { annotations: CocoCaptionFile; predictions: CaptionResult[] };

  it('NoCaps: what the parsed file gives, whatever order its lists have', async () => {
    const expected = cocoAnnotations(nocaps.annotations);
    expect(expected.domains?.size).toBe(expected.images.size);
    const { images, annotations } = nocaps.annotations;
    for (const file of [nocaps.annotations, { info: { year: 2018 }, licenses: [{ id: 1 }], annotations, images }])
      expect(await readCaptionAnnotations(jsonSource(file))).toEqual(expected);
    const candidates = await readCaptionResults(jsonSource(nocaps.predictions));
    expect(candidates).toEqual(captionResults(nocaps.predictions));
    expect(evaluateNoCaps({ ...(await readCaptionAnnotations(jsonSource(nocaps.annotations))), candidates }).size).toBe(4);
  });

  it('keeps names of files, empty captions and images without captions; captions of other images are left out', async () => {
    const file = {
      images: [
        { id: 'a', file_name: 'a.jpg', height: 5 },
        { id: 1, domain: null },
      ],
      annotations: [
        { id: 0, image_id: 'a', caption: '' },
        { id: 1, image_id: 'A', caption: 'of nobody' },
      ],
    };
    expect(await readCaptionAnnotations(jsonSource(file))).toEqual({
      references: new Map<unknown, unknown>([
        ['a', ['']],
        [1, []],
      ]),
      images: new Map<unknown, unknown>([
        ['a', { fileName: 'a.jpg' }],
        [1, {}],
      ]),
    });
  });

  it("reads Karpathy's splits and LAVIS's lists", async () => {
    expect(await readCaptionAnnotations(jsonSource(KARPATHY))).toEqual(karpathyAnnotations(KARPATHY, 'test'));
    expect(await readCaptionAnnotations(jsonSource(KARPATHY), { split: 'val' })).toEqual(karpathyAnnotations(KARPATHY, 'val'));
    expect(await readCaptionAnnotations(jsonSource(LAVIS))).toEqual(lavisAnnotations(LAVIS));
  });

  it('LAVIS keeps the first of two results', async () => {
    const twice = [1, 1, 2].map((image_id, index) => ({ image_id, caption: `${index}` }));
    expect(await readCaptionResults(jsonSource(twice), { duplicates: 'first' })).toEqual(
      new Map([
        [1, '0'],
        [2, '2'],
      ]),
    );
  });
});

describe('VQA', () => {
  const golden = readMetrics('vqa.json') as {
    questions: {
      question_id: number;
      question_type: string;
      answer_type: string;
      answers: [number, string, string][];
      prediction: string;
    }[];
  };
  const annotations = golden.questions.map(({ answers, question_id, question_type, answer_type }) => ({
    image_id: Math.floor(question_id / 1000),
    question_id,
    question_type,
    answer_type,
    multiple_choice_answer: answers[0]![1],
    answers: answers.map(([answer_id, answer, answer_confidence]) => ({ answer_id, answer, answer_confidence })),
  }));
  const results = golden.questions.map(({ question_id, prediction }) => ({ question_id, answer: prediction }));
  const head = { info: { year: 2017 }, license: { name: 'CC' }, data_type: 'mscoco', data_subtype: 'val2014' };

  it('official files are scored like the parsed ones', async () => {
    const loaded = {
      annotations: await readVqaAnnotations(jsonSource({ ...head, annotations })),
      results: await readVqaResults(jsonSource(results)),
    };
    expect(evaluateVqa(loaded)).toEqual(evaluateVqa({ annotations, results }));
    expect(loaded.annotations[0]).toEqual({
      question_id: annotations[0]!.question_id,
      question_type: annotations[0]!.question_type,
      answer_type: annotations[0]!.answer_type,
      answers: annotations[0]!.answers.map(({ answer }) => ({ answer })),
    });
  });

  it('keeps one copy of equal answers', async () => {
    const [one, other] = await readVqaAnnotations(
      jsonSource({ annotations: [1, 2].map((question_id) => ({ question_id, answers: [{ answer: 'a long one' }] })) }),
    );
    expect(one!.answers[0]).toBe(other!.answers[0]);
  });

  it("questions know their images' files", async () => {
    const question = { question_id: 42001, image_id: 42, question: 'What?' };
    const read = async (extra: object): Promise<unknown> =>
      [...(await readVqaQuestions(jsonSource({ questions: [question], ...extra }))).values()][0];
    expect(await read(head)).toEqual({
      question: 'What?',
      imageId: 42,
      image: 'val2014/COCO_val2014_000000000042.jpg',
    });
    expect(await read({ data_subtype: 'test-dev2015' })).toMatchObject({ image: 'test2015/COCO_test2015_000000000042.jpg' });
    expect(await read({})).toEqual({ question: 'What?', imageId: 42 });
  });

  it('results may say what was asked', async () => {
    const told = [{ question_id: 1, question: 'How many?', answer: '2' }];
    expect(await readVqaResults(jsonSource(told))).toEqual([{ question_id: 1, answer: '2' }]);
  });

  it("reads LAVIS's lists as questions, as annotations and as they are", async () => {
    const list = [
      {
        question_id: 1,
        question: 'How many?',
        answer: ['2', 'two'],
        image: 'val2014/COCO_val2014_000000000042.jpg',
        dataset: 'vqa',
      },
      { question_id: 2, question: 'Is it?', answer: 'yes', image: 'n1.jpg' },
    ];
    expect(await readVqaQuestions(jsonSource(list))).toEqual(
      new Map(list.map(({ question_id, question, image }) => [question_id, { question, image }])),
    );
    expect(await readVqaAnnotations(jsonSource(list))).toEqual([
      { question_id: 1, answers: [{ answer: '2' }, { answer: 'two' }] },
      { question_id: 2, answers: [{ answer: 'yes' }] },
    ]);
    const { answer: _, ...unanswered } = list[1]!;
    expect(await readLavisQuestions(jsonSource([list[0], unanswered]))).toEqual([
      { question_id: 1, question: 'How many?', image: list[0]!.image, answers: ['2', 'two'] },
      { question_id: 2, question: 'Is it?', image: 'n1.jpg', answers: [] },
    ]);
  });
});

describe('GQA', () => {
  const golden = readMetrics('gqa.json') as {
    questions: Record<string, GqaQuestion>;
    choices: Record<string, GqaChoices>;
    sceneGraphs: Record<string, GqaSceneGraph>;
    predictions: GqaPrediction[];
    attentions: GqaAttention[];
  };
  const ids = Object.keys(golden.questions);
  const chunks: FileSource[] = [ids.slice(0, 30), ids.slice(30)].map((some, index) =>
    jsonSource(Object.fromEntries(some.map((id) => [id, golden.questions[id]])), `chunk ${index}`),
  );

  it('official files are scored like the parsed ones, in chunks or not', async () => {
    const { questions, choices, sceneGraphs, predictions, attentions } = golden;
    const expected = evaluateGqa({ questions, choices, sceneGraphs, predictions, attention: attentions, consistency: true });
    for (const source of [jsonSource(questions), chunks]) {
      const loaded = {
        questions: await readGqaQuestions(source),
        choices: await readGqaChoices(jsonSource(choices)),
        sceneGraphs: await readGqaSceneGraphs(jsonSource(sceneGraphs)),
        predictions: await readGqaPredictions(jsonSource(predictions)),
        attention: await readGqaAttention(jsonSource(attentions)),
      };
      expect(evaluateGqa({ ...loaded, consistency: true })).toEqual(expected);
    }
  });

  it('an id may have any name', async () => {
    const text = `{"__proto__": ${JSON.stringify({ valid: ['a'], plausible: [] })}}`;
    const choices = await readGqaChoices({ name: 'c.json', read: () => new Blob([text]).stream() });
    expect(Object.keys(choices)).toEqual(['__proto__']);
  });
});

describe('retrieval', () => {
  it('numbers images and captions in the order of the file', async () => {
    expect(await readRetrievalSet(jsonSource(KARPATHY))).toEqual({
      images: ['val2014/COCO_val2014_000000000008.jpg', 'val2014/COCO_val2014_000000000007.jpg'],
      captions: [
        ['A dog.', '8 dogs'],
        ['A dog.', '7 dogs'],
      ],
    });
    expect(await readRetrievalSet(jsonSource(LAVIS))).toEqual({
      images: LAVIS.map(({ image }) => image),
      captions: LAVIS.map(({ caption }) => caption),
    });
  });
});

it('parsed files with other keys are refused', () => {
  expect(messageOf(() => cocoAnnotations({ images: [{ image_id: 1 }], annotations: [] } as never))).toMatchInlineSnapshot(
    `"cocoAnnotations: an image has the id undefined, expected a number or a text. Check the names of the keys, or correct it."`,
  );
});
