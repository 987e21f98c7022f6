import { DatasetError } from '@blip2/core/errors';
import type { FileSource } from '@blip2/core/json';
import { describe, expect, it } from 'vitest';
import { jsonSource, problemOf, textSource } from '../__fixtures__/sources.ts';
import { readCaptionAnnotations, readCaptionResults } from './captions.ts';
import { FILE_FORMATS, type FileFormat } from './formats.ts';
import { readGqaAttention, readGqaChoices, readGqaPredictions, readGqaQuestions, readGqaSceneGraphs } from './gqa.ts';
import { readRetrievalSet } from './retrieval.ts';
import { readLavisQuestions, readVqaAnnotations, readVqaQuestions, readVqaResults } from './vqa.ts';

const QUESTION = {
  question: 'What?',
  answer: 'dog',
  imageId: 'n1',
  isBalanced: true,
  types: { structural: 'query', semantic: 'obj', detailed: 'what' },
  groups: { global: null, local: 'x' },
  semantic: [{ operation: 'select', argument: 'dog', dependencies: [] }],
  entailed: [],
};

/** A small file of every format. */
const FILES: Readonly<Record<FileFormat, unknown>> = {
  'coco-captions': { info: {}, images: [{ id: 1 }], annotations: [{ id: 1, image_id: 1, caption: 'a dog' }] },
  'coco-objects': { info: {}, annotations: [{ id: 1, image_id: 1, bbox: [0, 0, 1, 1], category_id: 1 }] },
  karpathy: { images: [{ filename: 'x_1.jpg', split: 'test', sentences: [{ raw: 'a dog' }] }] },
  'lavis-captions': [{ image: 'x_1.jpg', caption: ['a dog'] }],
  'lavis-train-captions': [{ image: 'x_1.jpg', caption: 'a dog', image_id: 'coco_1' }],
  'lavis-images': [{ image: 'x.jpg', img_id: 0 }],
  'caption-results': [{ image_id: 1, caption: 'a dog' }],
  'vqa-questions': { questions: [{ question_id: 1, image_id: 1, question: 'What?' }] },
  'vqa-annotations': { annotations: [{ question_id: 1, answers: [{ answer: 'dog' }] }] },
  'vqa-results': [{ question_id: 1, answer: 'dog' }],
  'lavis-questions': [{ question_id: 1, question: 'What?', image: 'x.jpg', answer: ['dog'] }],
  'gqa-questions': { '1': QUESTION },
  'gqa-predictions': [{ questionId: '1', prediction: 'dog' }],
  'gqa-choices': { '1': { valid: ['dog'], plausible: ['dog'] } },
  'gqa-scene-graphs': { n1: { width: 2, height: 2, objects: { '5': { x: 0, y: 0, w: 1, h: 1, name: 'dog' } } } },
  'gqa-attention': [{ questionId: '1', attention: [[1]] }],
};

/** Every loader, and what it takes. */
const LOADERS: readonly (readonly [load: (source: FileSource) => Promise<unknown>, takes: readonly FileFormat[]])[] = [
  [readCaptionAnnotations, ['coco-captions', 'lavis-captions', 'karpathy']],
  [readCaptionResults, ['caption-results']],
  [readRetrievalSet, ['karpathy', 'lavis-captions']],
  [readVqaQuestions, ['vqa-questions', 'lavis-questions']],
  [readVqaAnnotations, ['vqa-annotations', 'lavis-questions']],
  [readVqaResults, ['vqa-results']],
  [readLavisQuestions, ['lavis-questions']],
  [readGqaQuestions, ['gqa-questions']],
  [readGqaChoices, ['gqa-choices']],
  [readGqaSceneGraphs, ['gqa-scene-graphs']],
  [readGqaPredictions, ['gqa-predictions']],
  [readGqaAttention, ['gqa-attention']],
];

describe.each(LOADERS.map(([load, takes]) => [load.name, load, takes] as const))('%s', (_, load, takes) => {
  const others = (Object.keys(FILES) as FileFormat[]).filter((format) => !takes.includes(format));

  it.each(takes)('takes %s', async (format) => {
    await expect(load(jsonSource(FILES[format]))).resolves.toBeDefined();
  });

  it.each(others)('calls %s by its name', async (format) => {
    const error: unknown = await load(jsonSource(FILES[format], 'f.json')).catch((problem: unknown) => problem);
    expect(DatasetError.isInstance(error) && error.file).toBe('f.json');
    expect((error as Error).message).toContain(FILE_FORMATS[format]);
    for (const one of takes) expect((error as Error).message).toContain(FILE_FORMATS[one]);
  });

  it('refuses what is nothing, broken, or not UTF-8', async () => {
    const text = JSON.stringify(FILES[takes[0]!]);
    const latin = new TextEncoder().encode(text.replace('"', '"@')).map((byte) => (byte === 0x40 ? 0xff : byte));
    const wrong = ['', 'null', '[]', '{}', '[5]', '{"a": 5}', '[{"a": 5}]', text.slice(0, -2), text.replace('"', '"\\ud'), latin];
    for (const one of wrong) {
      const problem: unknown = await load(textSource(one)).catch((error: unknown) => error);
      expect(DatasetError.isInstance(problem), `${String(one)}: ${String(problem)}`).toBe(true);
    }
  });

  it('stops when it is told to', async () => {
    await expect(
      (load as typeof readCaptionResults)(jsonSource(FILES[takes[0]!]), { abortSignal: AbortSignal.abort('enough') }),
    ).rejects.toBe('enough');
  });
});

it('says what is wrong and where', async () => {
  const images = [{ id: 1 }, { id: 2 }];
  const karpathy = (sentences: readonly unknown[]): unknown => ({ filename: 'x_1.jpg', split: 'test', sentences });
  const cases: readonly Promise<unknown>[] = [
    // Files of another benchmark, of another kind, and of none.
    readCaptionAnnotations(jsonSource(FILES['vqa-results'], 'results.json')),
    readCaptionResults(jsonSource(FILES['coco-captions'], 'truth.json')),
    readVqaResults(jsonSource(FILES['gqa-predictions'], 'results.json')),
    readCaptionResults(jsonSource([{ image: 1, text: 'a dog' }], 'results.json')),
    readVqaAnnotations(jsonSource({ info: {}, license: {}, annotations: [] }, 'truth.json')),
    // Broken files.
    readCaptionResults(textSource('[{"image_id": 1, "caption": "a d', 'results.json')),
    readCaptionResults(textSource(Uint8Array.from([0x5b, 0x22, 0xe9, 0x22, 0x5d]), 'results.json')),
    readGqaAttention(textSource('[{"questionId": "1", "attention": [[NaN]]}]', 'attention.json')),
    // Ids.
    readCaptionResults(
      jsonSource(
        [1, 2, 1].map((image_id) => ({ image_id, caption: '' })),
        'results.json',
      ),
    ),
    readCaptionAnnotations(jsonSource({ images: [...images, ...images], annotations: [] }, 'truth.json')),
    readVqaResults(
      jsonSource(
        [1, 1].map((question_id) => ({ question_id, answer: '' })),
        'results.json',
      ),
    ),
    readVqaQuestions(
      jsonSource({ questions: [1, 1].map((question_id) => ({ question_id, image_id: 1, question: '' })) }, 'q.json'),
    ),
    readGqaQuestions([jsonSource({ '1': QUESTION }, 'a.json'), jsonSource({ '1': QUESTION }, 'b.json')]),
    readVqaResults(jsonSource([{ question_id: 1, answer: '' }, { answer: 'yes' }], 'results.json')),
    readCaptionResults(jsonSource([{ image_id: 1.5, caption: '' }], 'results.json')),
    // Fields.
    readVqaResults(jsonSource([{ question_id: 1, answer: 2 }], 'results.json')),
    readCaptionResults(jsonSource([{ image_id: 1, caption: null }], 'results.json')),
    readGqaPredictions(jsonSource([{ questionId: 201307251, prediction: 'yes' }], 'results.json')),
    readGqaAttention(textSource('[{"questionId": "1", "attention": [[1e999]]}]', 'attention.json')),
    readGqaSceneGraphs(jsonSource({ n1: { width: 2, height: null, objects: {} } }, 'graphs.json')),
    readGqaQuestions(jsonSource({ '1': QUESTION, '2': { ...QUESTION, answer: undefined } }, 'test.json')),
    readGqaQuestions(jsonSource({ '1': QUESTION, '2': { valid: [] } }, 'questions.json')),
    // Texts and images that are not there.
    readCaptionAnnotations(jsonSource({ images, annotations: [] }, 'test.json')),
    readCaptionAnnotations(jsonSource(FILES.karpathy, 'dataset.json'), { split: 'tset' }),
    readRetrievalSet(jsonSource(FILES.karpathy, 'dataset.json'), { split: 'val' }),
    readRetrievalSet(jsonSource({ images: [karpathy([])] }, 'dataset.json')),
    readRetrievalSet(jsonSource({ images: [karpathy([{ raw: 'a' }]), karpathy([{ raw: 'b' }])] }, 'dataset.json')),
    readCaptionAnnotations(jsonSource([{ image: 'dog.jpg', caption: ['a'] }], 'list.json')),
    readCaptionAnnotations(jsonSource([{ image: 'dog_1.jpg', caption: 'a' }], 'list.json')),
    readVqaAnnotations(jsonSource([{ question_id: 1, question: 'What?', image: 'x.jpg' }], 'vqa_val_eval.json')),
  ];
  expect((await Promise.all(cases.map(problemOf))).join('\n')).toMatchInlineSnapshot(`
    "results.json: holds VQA results ([{ question_id, answer }]), expected COCO caption annotations ({ images: [{ id }], annotations: [{ image_id, caption }] }), or a LAVIS list of captions ([{ image, caption: […] }]), or a file of Karpathy's splits ({ images: [{ filename, split, sentences }] }). Pass that file.
    truth.json: holds COCO caption annotations ({ images: [{ id }], annotations: [{ image_id, caption }] }), expected caption results ([{ image_id, caption }]). Pass that file.
    results.json: holds GQA predictions ([{ questionId, prediction }]), expected VQA results ([{ question_id, answer }]). Pass that file.
    results.json: entry 0: is {"image":1,"text":"a dog"}, expected an entry of caption results ([{ image_id, caption }]). Check that the file is the one you mean.
    truth.json: holds nothing but values such as 'info', expected VQA annotations ({ annotations: [{ question_id, answers }] }), or a LAVIS list of questions ([{ question_id, question, image }]). Check that the file is the one you mean.
    results.json: ends in the middle (entry 0). Expected complete JSON. Download or copy it again.
    results.json: is not UTF-8 (entry 0). Expected JSON in UTF-8. Save it in that encoding.
    attention.json: has NaN, which JSON does not know (entry 0). Expected a number, a text or null. Correct the program that wrote it: Python writes such words unless it is told not to.
    results.json: entry 2: is about image 1 again, expected one entry each. Remove one of the two, or pass duplicates: 'first' to keep the first of each.
    truth.json: entry 2 of 'images': image 1 comes twice, expected every image once. Remove one of the two entries.
    results.json: entry 1: is about question 1 again, expected one entry each. Remove one of the two, or pass duplicates: 'first' to keep the first of each.
    q.json: entry 1 of 'questions': is about question 1 again, expected one entry each. Remove one of the two.
    b.json: '1': is about question "1" again, expected one entry each. Remove one of the two.
    results.json: entry 1: question_id is missing, expected an id. Check that the file is the one you mean, or correct it.
    results.json: entry 0: image_id is 1.5, expected an id. Check that the file is the one you mean, or correct it.
    results.json: entry 0: answer is 2, expected a text. Check that the file is the one you mean, or correct it.
    results.json: entry 0: caption is null, expected a text. Check that the file is the one you mean, or correct it.
    results.json: entry 0: questionId is 201307251, expected a text. Check that the file is the one you mean, or correct it.
    attention.json: entry 0: attention.0.0 is Infinity, expected a number. Check that the file is the one you mean, or correct it.
    graphs.json: 'n1': height is null, expected a number. Check that the file is the one you mean, or correct it.
    test.json: '2': answer is missing, expected the right answer, which files of test splits lack. Check that the file is the one you mean, or correct it.
    questions.json: '2': question is missing, expected a text. Check that the file is the one you mean, or correct it.
    test.json: has 2 images and no captions, expected what people said of them. Test splits are scored by a server; take one with captions.
    dataset.json: no image is in the split 'tset', expected one of test. Name one of these.
    dataset.json: no image is in the split 'val', expected one of test. Name one of these.
    dataset.json: entry 0 of 'images': has no captions, expected at least one: nothing could be found for the image. Leave it out.
    dataset.json: entry 1 of 'images': is about image "x_1.jpg" again, expected one entry each. Remove one of the two.
    list.json: entry 0: the image 'dog.jpg' has no number after its last underscore, expected a name like COCO_val2014_000000000042.jpg. Build the references yourself: a Map from image id to captions.
    list.json: entry 0: caption is "a", expected a list of captions, as in the lists of validation and test. Check that the file is the one you mean, or correct it.
    vqa_val_eval.json: entry 0: has no answers, expected those of ten people. Test splits are scored by a server; take one with answers."
  `);
});
