import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { shapesWorldCounts, writeShapesWorld } from '@blip2/datasets/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { main } from './index.ts';

const OPT = fixturePath('models', 'blip2-opt');
const MATCHING = fixturePath('models', 'blip2-itm');

let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'blip2-cli-train-'));
  await makePhotos();
});

afterEach(() => rmSync(scratch, { recursive: true }));

/** `photos/`, `held-out/` and `questions/`, as the guide has them. */
async function makePhotos(): Promise<void> {
  await writeShapesWorld(join(scratch, 'world'), { seed: 1, size: 48, counts: shapesWorldCounts(4) });
  const from = join(scratch, 'world', 'coco', 'images', 'train2014');
  const images = readdirSync(from).map((name) => readFileSync(join(from, name)));
  const write = (folder: string, names: readonly string[], rows: readonly object[], table = 'captions.jsonl'): void => {
    mkdirSync(join(scratch, folder), { recursive: true });
    for (const [index, name] of names.entries()) writeFileSync(join(scratch, folder, name), images[index % images.length]!);
    writeFileSync(join(scratch, folder, table), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  };
  write(
    'photos',
    ['rex.png', 'tom.png', 'kim.png'],
    [
      { image: 'rex.png', caption: 'rex, a brown dog, on a beach' },
      { image: 'tom.png', captions: ['tom, a grey cat, on a sofa', 'a grey cat asleep'] },
      { image: 'kim.png', caption: 'kim with a hat' },
    ],
  );
  write('held-out', ['ann.png'], [{ image: 'ann.png', caption: 'ann on a bike' }], 'metadata.jsonl');
  const questions = [
    { image: 'rex.png', question: 'what animal is this?', answers: ['dog', 'dog', 'puppy'] },
    { image: 'tom.png', question: 'what is it on?', answer: 'a sofa' },
  ];
  write('questions', ['rex.png', 'tom.png'], questions, 'metadata.jsonl');
}

async function run(words: readonly string[], abort?: AbortController): Promise<{ code: number; out: string; error: string }> {
  const [written, remarks]: [string[], string[]] = [[], []];
  const streams = {
    out: {
      write: (text: string) => {
        written.push(text);
        abort?.abort(); // with the first line
      },
    },
    error: { write: (text: string) => remarks.push(text) },
  };
  const code = await main(words, streams, { abortSignal: abort?.signal });
  const shown = (parts: readonly string[]): string =>
    parts.join('').replaceAll(scratch, 'SCRATCH').replaceAll(fixturePath('models'), 'MODELS');
  return { code, out: shown(written), error: shown(remarks) };
}

const at = (name: string): string => join(scratch, name);

describe('train', () => {
  it('needs a folder with images and captions, and goes on from where it was', async () => {
    const words = [
      'train',
      'caption',
      '--model',
      OPT,
      '--data',
      at('photos'),
      '--out',
      at('run'),
      '--epochs',
      '4',
      '--log-every',
      '1',
    ];
    const first = await run([...words, '--json'], new AbortController());
    expect(first).toMatchObject({ code: 130, out: expect.stringContaining('"step":1,') });
    const { code, out, error } = await run([...words, '--json']);
    expect(code).toBe(0);
    expect(error).toContain('batchSize is 3 instead of 16: there are no more rows.');
    expect(error).toContain('step 4/4 (100.0 %)  loss');
    expect(error).not.toContain('step 1/4');
    const records = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records.at(-1)).toMatchObject({
      kind: 'training',
      step: 4,
      loss: expect.any(Number),
      learningRate: expect.any(Number),
    });
    expect((await run(words)).out).toMatchInlineSnapshot(`
      "4 steps were done before
      SCRATCH/run/model
      "
    `);
    expect(
      readdirSync(at('run'))
        .filter((name) => !name.startsWith('step-'))
        .toSorted(),
    ).toEqual(['features', 'log.jsonl', 'model', 'recipe.json', 'report.html', 'tensorboard']);
    const other = await run([...words, '--seed', '2']);
    expect(other).toMatchInlineSnapshot(`
      {
        "code": 2,
        "error": "batchSize is 3 instead of 16: there are no more rows.
      SCRATCH/run: holds another run: seed is 0 there and 2 here. Train with the settings it was made with, or choose another folder.
      ",
        "out": "",
      }
    `);
    const captioned = await run(['caption', at('photos/rex.png'), '--model', at('run/model'), '--max-new-tokens', '3', '--json']);
    expect(captioned).toMatchObject({ code: 0, error: '' });
    expect(JSON.parse(captioned.out).text).toEqual(expect.any(String));
  });

  it('trains retrieval, whose model matches', async () => {
    const words = [
      'retrieval',
      '--model',
      MATCHING,
      '--data',
      at('photos'),
      '--steps',
      '2',
      '--out',
      at('run'),
      '--dtype',
      'fp16',
    ];
    const trained = await run(['train', ...words, '--train-vision', '--layer-decay', '0.9']);
    expect({ ...trained, out: trained.out.replace(/loss .*/, 'loss …') }).toMatchObject({
      code: 0,
      out: '2 steps, loss …\nSCRATCH/run/model\n',
    });
    const { code, out } = await run(['match', at('photos/rex.png'), '--text', 'a dog', '--model', at('run/model'), '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ itm: expect.any(Number), itc: expect.any(Number) });
  });

  it('trains questions whose queries read them, and answers', async () => {
    const words = [
      'vqa',
      '--model',
      OPT,
      '--text-branch',
      MATCHING,
      '--data',
      at('questions'),
      '--steps',
      '2',
      '--out',
      at('run'),
    ];
    expect(await run(['train', ...words, '--json'])).toMatchObject({ code: 0 });
    const config = JSON.parse(readFileSync(at('run/model/config.json'), 'utf8'));
    expect(config.qformer_config).toMatchObject({ use_qformer_text_input: true, vocab_size: 321 });
    expect(config.text_config).toMatchObject({ model_type: 'opt', eos_token_id: 84 });
    const asked = ['--question', 'what animal is this?', '--max-new-tokens', '3', '--json'];
    const { code, out } = await run(['answer', at('photos/rex.png'), '--model', at('run/model'), ...asked]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ question: 'what animal is this?', answer: expect.any(String) });
  });

  it('begins with the model that comes along, after a remark', async () => {
    const { code, out, error } = await run(['train', 'caption', '--data', at('photos'), '--steps', '1', '--out', at('run')]);
    expect({ code, error, out }).toMatchObject({ code: 0, out: expect.stringContaining('SCRATCH/run/model\n') });
    expect(error.match(/No --model/g)).toHaveLength(1);
    const named = ['--model', '@blip2/tiny', '--data', at('photos'), '--steps', '1', '--out', at('run')];
    expect(await run(['train', 'caption', ...named])).toMatchObject({
      code: 0,
      out: expect.stringContaining('were done before'),
    });
  });

  it('leaves out a broken picture, says so, and gives the model of any checkpoint', async () => {
    const whole = readFileSync(at('photos/kim.png'));
    writeFileSync(at('photos/kim.png'), whole.subarray(0, 150));
    const usual = [
      'train',
      'caption',
      '--model',
      OPT,
      '--data',
      at('photos'),
      '--validation',
      at('held-out'),
      '--out',
      at('run'),
    ];
    const words = [
      ...usual,
      '--steps',
      '3',
      '--evaluate-every',
      '1',
      '--save-every',
      '1',
      '--learning-rate',
      '0.5',
      '--schedule',
      'constant',
    ];
    const { code, out, error } = await run(words);
    expect(code).toBe(0);
    expect(error).toContain('photos:3 is left out: decodeImage: SCRATCH/photos/kim.png: ');
    expect(out.replaceAll(/loss(:?) \d+\.\d+/g, 'loss$1 …').replaceAll(/\d\.\d{4}/g, '…')).toMatchInlineSnapshot(`
      "3 steps, loss …, held-out loss …
      1 broken image or record was left out
      The model is that of step 1, whose held-out loss was the lowest: …. The last: blip2 train --export SCRATCH/run/step-00000003 --out FOLDER
      SCRATCH/run/model
      "
    `);
    const exported = await run(['train', '--export', at('run/step-00000003'), '--out', at('last'), '--dtype', 'fp16', '--json']);
    expect(exported).toMatchObject({ code: 0, error: '' });
    expect(JSON.parse(exported.out)).toEqual({ step: 3, models: ['SCRATCH/last'] });
    writeFileSync(at('photos/tom.png'), whole.subarray(0, 150));
    const refused = await run([...words.slice(0, -4), '--out', at('other')]);
    expect(refused).toMatchObject({ code: 2, error: expect.stringContaining('2 of 4 images are broken, expected at most 1 %') });
    expect(await run([...words.slice(0, -4), '--out', at('other'), '--max-broken-share', '0.5'])).toMatchObject({ code: 0 });
  });

  it('says that queries do not read the questions', async () => {
    const words = ['train', 'vqa', '--model', OPT, '--data', at('questions'), '--steps', '1', '--out', at('run')];
    expect((await run(words)).error).toMatch(/the queries do not read the question.*--text-branch/);
  });

  it('says what is wrong with the command line, and exits with 2', async () => {
    writeFileSync(at('bad.yaml'), 'recipe: caption\nbachSize: 3\n');
    const usual = ['--model', OPT, '--data', at('photos'), '--out', at('run')];
    const lines = [
      [],
      ['captions', ...usual],
      ['caption', 'vqa', ...usual],
      ['caption', '--model', OPT, '--out', at('run')],
      ['caption', '--model', OPT, '--data', at('photos')],
      ['caption', ...usual, '--preset', 'paper/vqa-opt-2.7b'],
      ['caption', ...usual, '--layer-decay', '0.5'],
      ['caption', ...usual, '--batch-size', '0'],
      ['caption', ...usual, '--dropout', '1.5'],
      ['caption', ...usual, '--provider', 'cuda'],
      ['caption', ...usual, '--max-broken-share', '2'],
      ['caption', '--export', at('photos'), '--out', at('run')],
      ['--export', at('photos')],
      ['--export', at('photos'), '--out', at('new')],
      ['caption', '--model', at('nothing'), '--data', at('photos'), '--out', at('run')],
      [at('bad.yaml'), '--out', at('run')],
      [at('missing.yaml'), '--out', at('run')],
    ];
    const messages: string[] = [];
    for (const line of lines) {
      const { code, out, error } = await run(['train', ...line]);
      expect({ code, out }).toEqual({ code: 2, out: '' });
      messages.push(error);
    }
    expect(messages).toMatchInlineSnapshot(`
      [
        "train takes one recipe, and none was named. Name stage1, stage2, caption, vqa, retrieval, or a file such as recipe.yaml.
      ",
        "'captions' is no recipe. Known are stage1, stage2, caption, vqa, retrieval; or name a file that ends with .yaml or .json.
      ",
        "train takes one recipe, and 'caption vqa' were named. Name stage1, stage2, caption, vqa, retrieval, or a file such as recipe.yaml.
      ",
        "No data was named: pass --data with a folder of images that has a captions.jsonl or metadata.jsonl.
      ",
        "No folder for the run was named: pass --out FOLDER.
      ",
        "the command line: preset 'paper/vqa-opt-2.7b' is for vqa, and this is caption. Take a preset of this recipe.
      ",
        "the command line: layerDecay is for the image encoder, which does not train: add 'train: { vision: true }'.
      ",
        "--batch-size is '0', expected a whole number, 1 or more.
      ",
        "the command line: dropout is 1.5, expected a number below 1. Correct the recipe.
      ",
        "train has no --provider: it would do nothing. Leave it out.
      ",
        "the command line: maxBrokenShare is 2, expected at most 1. Correct the recipe.
      ",
        "--export trains nothing, and 'caption' was named. Leave one out.
      ",
        "No folder for the model was named: pass --out FOLDER.
      ",
        "SCRATCH/photos: has no whole checkpoint, expected the folder of a run, or of a checkpoint such as step-00000500. Name one.
      ",
        "openCheckpoint: 'SCRATCH/nothing' is no folder on this machine and cannot be the id of a Hub repository. Pass the path of a model's folder, or an id such as 'Salesforce/blip2-opt-2.7b'.
      ",
        "SCRATCH/bad.yaml: 'bachSize' is not known; the nearest name is 'batchSize'. Correct the recipe.
      ",
        "SCRATCH/missing.yaml: cannot be read: there is no such file or folder. Check the path.
      ",
      ]
    `);
  });
});

it('the guide does what it says', async () => {
  const guide = readFileSync(new URL('../../../docs/guides/fine-tune-on-my-captions.md', import.meta.url), 'utf8');
  const recipe = /```yaml\n([^]*?)```/.exec(guide)![1]!;
  writeFileSync(at('captions.yaml'), recipe.replace(/Salesforce\S+/, OPT));
  const lines = [...guide.matchAll(/```sh\n([^]*?)```/g)]
    .flatMap(([, block]) => block!.split('\n'))
    .filter((line) => line.startsWith('blip2 '));
  expect(lines.length).toBeGreaterThan(6);
  for (const line of lines) {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!).slice(1);
    const placed = words.map((word) =>
      word === '$MODEL' ? OPT : /^(photos|runs|held-out|questions|captions\.yaml)/.test(word) ? at(word) : word,
    );
    const verb = placed[0]!;
    const short = verb === 'caption' || verb === 'answer' ? ['--max-new-tokens', '3', '--beams', '1'] : [];
    const { code, error } = await run([...placed, ...short]);
    expect({ line, code, error: code === 0 ? '' : error }).toEqual({ line, code: 0, error: '' });
  }
});
