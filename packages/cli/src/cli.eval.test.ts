import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSafetensorsFile } from '@blip2/checkpoints/node';
import { fixturePath } from '@blip2/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from './index.ts';

/** Files in the official formats, made of the golden values. */
const folder = mkdtempSync(join(tmpdir(), 'blip2-eval-'));
const path = (name: string): string => join(folder, name);
const write = (name: string, value: unknown): string => {
  writeFileSync(path(name), typeof value === 'string' ? value : JSON.stringify(value));
  return path(name);
};
// oxlint-disable-next-line typescript/no-explicit-any -- each file has its own structure
const golden = (name: string): any => JSON.parse(readFileSync(fixturePath('metrics', name), 'utf8'));

async function blip2(...words: string[]) {
  let [out, error] = ['', ''];
  const streams = { out: { write: (text: string) => (out += text) }, error: { write: (text: string) => (error += text) } };
  const code = await main(['eval', ...words], streams);
  return { code, out, error: error.replaceAll(folder, 'FOLDER') };
}

/** The one object on standard output. */
async function scored(...words: string[]) {
  const { code, out, error } = await blip2(...words, '--json');
  expect(error.includes('Error')).toBe(false);
  expect(code).toBe(0);
  expect(out.trimEnd().split('\n')).toHaveLength(1);
  // oxlint-disable-next-line typescript/no-explicit-any -- each benchmark has its own structure
  return { scores: JSON.parse(out) as any, error };
}

function expectScores(actual: Record<string, number>, expected: Record<string, number>, tolerance = 1e-9): void {
  for (const [name, value] of Object.entries(expected))
    expect(Math.abs(actual[name]! - value), name).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
}

beforeAll(() => {
  for (const name of ['METEOR_JAR', 'METEOR_DATA', 'SPICE_JAR']) vi.stubEnv(name, '');
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe('blip2 eval, from official files', () => {
  it('coco-caption', async () => {
    const { images, corpus } = golden('captions.json') as {
      images: { image_id: number; references: string[]; candidate: string }[];
      corpus: Record<string, number>;
    };
    const annotations = write('captions.json', {
      images: images.map(({ image_id }) => ({ id: image_id })),
      annotations: images.flatMap(({ image_id, references }) =>
        references.map((caption, index) => ({ id: 1000 * image_id + index, image_id, caption })),
      ),
    });
    const predictions = write(
      'caption-results.json',
      images.map(({ image_id, candidate }) => ({ image_id, caption: candidate })),
    );
    const words = ['coco-caption', '--annotations', annotations, '--predictions', predictions];
    const { scores, error } = await scored(...words);
    const { METEOR_exact_stem_synonym: _, ...counting } = corpus;
    expectScores(scores, counting);
    expect(Object.keys(scores)).toEqual([
      'Bleu_1',
      'Bleu_2',
      'Bleu_3',
      'Bleu_4',
      'ROUGE_L',
      'CIDEr',
      'METEOR_exact_stem',
      'unavailable',
    ]);
    expect(Object.keys(scores.unavailable)).toEqual(['METEOR', 'SPICE']);
    expect(
      [scores.unavailable.METEOR, scores.unavailable.SPICE].map((reason) => /--meteor-jar|--spice-jar/.test(reason)),
    ).toEqual([true, true]);
    expect(error).toMatchInlineSnapshot(`
      "METEOR is not there: METEOR: no jar is given, expected the path of one. Install Java and METEOR 1.5: meteor-1.5.jar, and data/paraphrase-en.gz beside it. Then pass jar, or set the environment variable METEOR_JAR. Here: --meteor-data FOLDER, without Java, or --meteor-jar FILE.
      SPICE is not there: SPICE: no jar is given, expected the path of one. Install Java 8 to 14 and SPICE 1.0: spice-1.0.jar, and beside it lib with the jars of CoreNLP 3.6.0. Then pass jar, or set the environment variable SPICE_JAR. Here: --spice-jar FILE.
      "
    `);
    expect(Object.keys((await scored(...words, '--metrics', 'cider,bleu')).scores)).toEqual([
      'Bleu_1',
      'Bleu_2',
      'Bleu_3',
      'Bleu_4',
      'CIDEr',
    ]);
    const [unknown, none] = [await blip2(...words, '--metrics', 'cider,blue'), await blip2(...words.slice(0, 3))];
    expect([unknown.code, none.code]).toEqual([2, 2]);
    expect(unknown.error).toMatchInlineSnapshot(`
      "--metrics has 'blue', expected some of bleu,rouge,cider,meteor,spice, separated by commas.
      "
    `);
    expect(none.error).toMatchInlineSnapshot(`
      "coco-caption needs something to score: --predictions FILE, or --images FOLDER to run a model on the benchmark's images.
      "
    `);
  });

  it('nocaps, each domain by itself', async () => {
    const { annotations, predictions, results } = golden('nocaps.json');
    const files = [
      '--annotations',
      write('nocaps.json', annotations),
      '--predictions',
      write('nocaps-results.json', predictions),
    ];
    const { scores } = await scored('nocaps', ...files, '--metrics', 'bleu,rouge,cider');
    expect(Object.keys(scores)).toEqual(['in-domain', 'near-domain', 'out-domain', 'entire']);
    for (const [domain, { scores: expected }] of Object.entries(results as Record<string, { scores: Record<string, number> }>)) {
      const { METEOR_exact_stem_synonym: _, ...counting } = expected;
      expectScores(scores[domain], counting);
    }
  });

  it('vqav2, as the challenge and as LAVIS compare', async () => {
    const { questions, official, lavis } = golden('vqa.json') as {
      questions: Record<string, unknown>[];
      official: { precise: { overall: number } };
      lavis: { precise: { overall: number } };
    };
    const asked = questions.map(({ question_id, image_id, question }) => ({ question_id, image_id, question }));
    const annotations = questions.map((question) => ({
      ...question,
      answers: (question['answers'] as [number, string, string][]).map(([answer_id, answer, answer_confidence]) => ({
        answer_id,
        answer,
        answer_confidence,
      })),
    }));
    const words = [
      'vqav2',
      '--questions',
      write('questions.json', { data_subtype: 'val2014', questions: asked }),
      '--annotations',
      write('annotations.json', { annotations }),
      '--predictions',
      write(
        'answers.json',
        questions.map(({ question_id, prediction }) => ({ question_id, answer: prediction })),
      ),
    ];
    const { scores } = await scored(...words);
    for (const [name, expected] of Object.entries(official.precise))
      if (typeof expected === 'number') expectScores({ [name]: scores[name] }, { [name]: expected });
      else expectScores(scores[name], expected);
    const { scores: other } = await scored(...words, '--normalization', 'lavis');
    expectScores({ overall: other.overall }, { overall: lavis.precise.overall });
  });

  it('gqa, with and without what single metrics need', async () => {
    const { questions, choices, predictions, sceneGraphs, attentions, results } = golden('gqa.json');
    const base = ['gqa', '--questions', write('gqa.json', questions)];
    const all = ['--predictions', write('gqa-predictions.json', predictions), '--choices', write('choices.json', choices)];
    const more = ['--scene-graphs', write('scenes.json', sceneGraphs), '--attentions', write('attention.json', attentions)];
    const plain = (scores: Record<string, unknown>): Record<string, number> =>
      Object.fromEntries(Object.entries(scores).filter(([, value]) => typeof value === 'number')) as Record<string, number>;
    const { scores: full } = await scored(...base, ...all, ...more);
    expectScores(full, plain(results.full.scores));
    expect(full.unavailable).toBeUndefined();
    const { scores: half } = await scored(...base, ...all);
    expectScores(half, plain(results.consistencyOnly.scores));
    const balanced = predictions.filter(({ questionId }: { questionId: string }) => questions[questionId].isBalanced);
    const { scores: few } = await scored(...base, '--predictions', write('balanced.json', balanced));
    expectScores(few, plain(results.balancedPredictionsOnlyNoChoices.scores));
    expect(few.unavailable).toMatchInlineSnapshot(`
      {
        "consistency": "needs predictions for all questions, also those that are not balanced: 22 have none",
        "grounding": "needs --attentions and --scene-graphs",
        "plausibility": "needs --choices",
        "validity": "needs --choices",
      }
    `);
    // Questions may come in several files, as those of the training set do.
    const entries = Object.entries(questions);
    const halves = [entries.slice(0, 30), entries.slice(30)].map((some, index) =>
      write(`gqa-${index}.json`, Object.fromEntries(some)),
    );
    expect((await scored('gqa', '--questions', ...halves, ...all, ...more)).scores).toEqual(full);
    mkdirSync(path('train_all_questions'));
    for (const [index, part] of halves.entries()) renameSync(part, path(join('train_all_questions', `${index}.json`)));
    expect((await scored('gqa', '--questions', path('train_all_questions'), ...all, ...more)).scores).toEqual(full);
  });

  it.each(['flickr30k', 'coco-retrieval'])('%s', async (benchmark) => {
    const { metricCases } = golden('retrieval.json') as {
      metricCases: {
        captionsPerImage: number[];
        scoresI2T: number[][];
        scoresT2I: number[][];
        metrics: Record<string, number>;
      }[];
    };
    for (const [index, one] of metricCases.entries()) {
      const images = one.captionsPerImage.map((count, image) => ({
        filename: `${image + 1}.jpg`,
        split: 'test',
        imgid: image,
        sentences: Array.from({ length: count }, (_, caption) => ({ raw: `caption ${caption} of ${image}`, tokens: [] })),
      }));
      const other = { filename: 'train.jpg', split: 'train', imgid: 99, sentences: [{ raw: 'a dog', tokens: [] }] };
      const annotations = write(`karpathy-${index}.json`, { dataset: 'flickr30k', images: [other, ...images] });
      const scoreFile = path(`scores-${index}.safetensors`);
      const tensor = (name: string, rows: number[][]) => ({
        name,
        shape: [rows.length, rows[0]!.length],
        values: Float32Array.from(rows.flat()),
      });
      await writeSafetensorsFile(scoreFile, [tensor('i2t', one.scoresI2T), tensor('t2i', one.scoresT2I)]);
      const { scores } = await scored(benchmark, '--annotations', annotations, '--scores', scoreFile);
      expectScores(scores, one.metrics);
    }
  });
});

/** A safetensors file with a matrix of doubles for each direction. */
function writeDoubles(name: string, matrices: Readonly<Record<string, readonly number[][]>>): string {
  const values = Object.values(matrices).map((rows) => Buffer.from(Float64Array.from(rows.flat()).buffer));
  let end = 0;
  const header = Object.entries(matrices).map(([key, rows], index) => {
    const begin = end;
    end += values[index]!.length;
    return [key, { dtype: 'F64', shape: [rows.length, rows[0]!.length], data_offsets: [begin, end] }];
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path(name), Buffer.concat([length, text, ...values]));
  return path(name);
}

describe('blip2 eval, score files', () => {
  const sentences = [{ raw: 'a dog' }];
  const images = ['a', 'b', 'c'].map((name) => ({ filename: `${name}.jpg`, split: 'test', sentences }));
  const words = (scores: string): string[] => ['flickr30k', '--annotations', write('three.json', { images }), '--scores', scores];
  const apart = 1 + 2 ** -40; // from 1 in double precision alone
  const exact = [
    [apart, 1, 0],
    [0, apart, 1],
    [1, 0, apart],
  ];

  it('doubles stay doubles', async () => {
    const { scores } = await scored(...words(writeDoubles('doubles.safetensors', { i2t: exact, t2i: exact })));
    expect([scores.txt_r1, scores.img_r1]).toEqual([100, 100]);
  });

  it('--limit takes the first images, and their texts alone, whether the file has more or not', async () => {
    const wrong = [
      [0, 0, 1],
      [0, 1, 2],
      [1, 2, 0],
    ];
    const all = writeDoubles('all.safetensors', { i2t: wrong, t2i: wrong });
    const [one] = wrong.map((row) => row.slice(0, 1));
    const first = writeDoubles('first.safetensors', { i2t: [one!], t2i: [one!] });
    expect((await scored(...words(all))).scores.txt_r1).toBe(0);
    const limited = await Promise.all([all, first].map(async (file) => (await scored(...words(file), '--limit', '1')).scores));
    expect(limited.map(({ r_mean }) => r_mean)).toEqual([100, 100]);
  });

  it('what is no number is named', async () => {
    const broken = exact.with(1, [0, Number.NaN, 1]);
    const { code, error } = await blip2(...words(writeDoubles('nan.safetensors', { i2t: exact, t2i: broken })));
    expect(code).toBe(2);
    expect(error).toMatchInlineSnapshot(`
      "FOLDER/nan.safetensors: t2i [1, 1] is NaN, expected a number. Check the features that it was made of.
      "
    `);
  });
});

describe('blip2 eval, bad input', () => {
  const messageOf = async (...words: string[]): Promise<string> => {
    const { code, out, error } = await blip2(...words);
    expect(code).toBe(2);
    expect(out).toBe('');
    return error.trim();
  };

  it('questions of another split, files that belong together, and folders that are none', async () => {
    const questions = [1, 2].map((question_id) => ({ question_id, image_id: 5, question: 'Is it?' }));
    const annotations = [2, 3].map((question_id) => ({ question_id, image_id: 5, answers: [{ answer: 'yes' }] }));
    const file = write('q.json', { questions });
    const vqa = ['--annotations', write('v.json', { annotations }), '--predictions', write('r.json', [])];
    const gqa = ['--questions', file, '--predictions', file];
    mkdirSync(path('empty'));
    expect(
      [
        await messageOf('vqav2', '--questions', file, ...vqa),
        await messageOf('vqav2', '--questions', file, file, ...vqa),
        await messageOf('vqav2', '--questions', file, ...vqa, '--output', file),
        await messageOf('vqav2', '--questions', file, ...vqa, '--output', join(file, 'runs')),
        await messageOf('gqa', ...gqa, '--attentions', file),
        await messageOf('gqa', '--questions', path('empty'), '--predictions', file),
      ].join('\n---\n'),
    ).toMatchInlineSnapshot(`
      "FOLDER/q.json: lacks 1 of the 2 questions that have annotations (3), expected all of them. Take questions and annotations of the same split.
      ---
      vqav2 takes one file of --questions, and 2 were named. Name that of the annotations' split.
      ---
      --output FOLDER/q.json: is a file, expected a folder. Name another one.
      ---
      FOLDER/q.json/runs: cannot be written: a part of the path is a file, not a folder. Check the path.
      ---
      gqa: --attentions needs --scene-graphs FILE too, the boxes of the objects. Name both, or neither.
      ---
      --questions FOLDER/empty: is a folder without .json files, expected the parts of a file. Check the path."
    `);
  });

  it('names file, entry and cure', async () => {
    const annotations = write('a.json', { images: [{ id: 1 }], annotations: [{ id: 1, image_id: 1, caption: 'a dog' }] });
    const answers = write('b.json', [{ question_id: 1, answer: 'yes' }]);
    const other = write('c.json', [{ image_id: 2, caption: 'a dog' }]);
    const torn = write('d.json', '[{"image_id": 1, "capt');
    const caption = ['coco-caption', '--annotations', annotations];
    expect(
      [
        await messageOf(),
        await messageOf('coco'),
        await messageOf(...caption),
        await messageOf(...caption, '--predictions', answers),
        await messageOf(...caption, '--predictions', other),
        await messageOf(...caption, '--predictions', torn),
        await messageOf(...caption, '--predictions', path('nowhere.json')),
        await messageOf('nocaps', '--annotations', annotations, '--predictions', other),
        await messageOf(...caption, '--predictions', other, '--model', 'x'),
        await messageOf(...caption, '--images', folder, '--resume'),
        await messageOf('compare', annotations),
        await messageOf('compare', annotations, annotations),
        await messageOf('flickr30k', '--annotations', annotations, '--scores', other),
      ].join('\n---\n'),
    ).toMatchInlineSnapshot(`
      "eval takes one benchmark, and none was named. Name one of coco-caption, nocaps, vqav2, gqa, flickr30k, coco-retrieval.
      ---
      'coco' is no benchmark. Known are coco-caption, nocaps, vqav2, gqa, flickr30k, coco-retrieval; and compare, for two runs.
      ---
      coco-caption needs something to score: --predictions FILE, or --images FOLDER to run a model on the benchmark's images.
      ---
      FOLDER/b.json: holds VQA results ([{ question_id, answer }]), expected caption results ([{ image_id, caption }]). Pass that file.
      ---
      evaluateCaptions: candidates: 1 result has an id that the images of the references lack (2). Check that results and annotations belong to the same split.
      ---
      FOLDER/d.json: ends in the middle (entry 0). Expected complete JSON. Download or copy it again.
      ---
      FOLDER/nowhere.json: cannot be read: there is no such file. Check the path.
      ---
      noCapsDomains: image 1 has the domain undefined, expected in-domain, near-domain, out-domain. Take nocaps_val_4500_captions.json; older files have no domains.
      ---
      coco-caption: --predictions names results that are there, and --model asks for new ones. Leave one out.
      ---
      --resume needs the --output FOLDER of the run that was interrupted.
      ---
      compare takes the results.json of two runs, and 1 were named: blip2 eval compare A/results.json B/results.json.
      ---
      FOLDER/a.json: has no results of a run, expected benchmark and items. Name the results.json of blip2 eval … --output FOLDER.
      ---
      FOLDER/a.json: holds COCO caption annotations ({ images: [{ id }], annotations: [{ image_id, caption }] }), expected a file of Karpathy's splits ({ images: [{ filename, split, sentences }] }), or a LAVIS list of captions ([{ image, caption: […] }]). Pass that file."
    `);
  });
});
