import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problemOf, temporaryFolder } from '../__fixtures__/temporary-folder.ts';
import { readCocoCaptions, readFlickr30kCaptions, readNoCaps, readVisualGenomeCaptions } from './captions.ts';
import { readFolder } from './folder.ts';
import { readGqa, readVisualGenomeQuestions, readVqa } from './questions.ts';
import { karpathy } from './readers-test-support.ts';

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
