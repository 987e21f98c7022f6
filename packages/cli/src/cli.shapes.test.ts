import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { main } from './index.ts';

let scratch: string;
let out: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'blip2-cli-shapes-'));
  out = join(scratch, 'out');
});

afterEach(() => rmSync(scratch, { recursive: true }));

async function run(words: readonly string[], abortSignal?: AbortSignal): Promise<{ code: number; out: string; error: string }> {
  const [written, remarks]: [string[], string[]] = [[], []];
  const streams = {
    out: { write: (text: string) => written.push(text) },
    error: { write: (text: string) => remarks.push(text) },
  };
  const code = await main(['shapes', ...words], streams, { abortSignal });
  const shown = (parts: readonly string[]): string => parts.join('').replaceAll(scratch, 'SCRATCH');
  return { code, out: shown(written), error: shown(remarks) };
}

describe('shapes', () => {
  it('writes a world and says what is in it', async () => {
    expect(await run(['--out', out, '--count', '20', '--size', '32'])).toMatchInlineSnapshot(`
      {
        "code": 0,
        "error": "",
        "out": "SCRATCH/out: 35 images
        coco train               20
        coco val                  2
        coco test                 2
        gqa train                 4
        gqa val                   1
        gqa testdev               1
        nocaps in                 1
        nocaps near               1
        nocaps out                1
        flickr30k test            2
      ",
      }
    `);
    expect(readdirSync(out).toSorted()).toEqual(['coco', 'flickr30k', 'gqa', 'nocaps', 'shapes-world.json', 'vqav2']);
  });

  it('says the same in one JSON line; the seed decides', async () => {
    const { code, out: line } = await run(['--out', out, '--count', '2', '--size', '32', '--seed', '7', '--json']);
    expect([code, JSON.parse(line)]).toMatchInlineSnapshot(`
      [
        0,
        {
          "images": 11,
          "out": "SCRATCH/out",
          "parts": {
            "coco restval": 0,
            "coco test": 1,
            "coco train": 2,
            "coco val": 1,
            "flickr30k test": 1,
            "flickr30k train": 0,
            "flickr30k val": 0,
            "gqa testdev": 1,
            "gqa train": 1,
            "gqa val": 1,
            "nocaps in": 1,
            "nocaps near": 1,
            "nocaps out": 1,
          },
          "seed": 7,
          "size": 32,
        },
      ]
    `);
    expect(JSON.parse(readFileSync(join(out, 'shapes-world.json'), 'utf8'))).toMatchObject({ seed: 7, size: 32 });
    await run(['--out', `${out}-2`, '--count', '2', '--size', '32', '--seed', '8']);
    const captions = (folder: string): string => readFileSync(join(folder, 'coco/dataset_coco.json'), 'utf8');
    expect(captions(`${out}-2`)).not.toBe(captions(out));
  });

  it('refuses what it cannot use, with code 2', async () => {
    mkdirSync(out);
    writeFileSync(join(out, 'notes.txt'), 'mine');
    const refusals = [
      [],
      ['--out', out],
      ['--out', out, '--count', '0'],
      ['--out', out, '--size', '8'],
      ['dog.jpg', '--out', out],
      ['--out', out, '--model', 'nope'],
      ['--out', out, '--dtype=int8'],
    ];
    const answers = [];
    for (const words of refusals) answers.push(await run(words));
    expect(answers.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2, 2, 2]);
    expect(answers.map(({ error }) => error.trim())).toMatchInlineSnapshot(`
      [
        "No folder to write was named: pass --out FOLDER.",
        "SCRATCH/out: already exists and holds notes.txt. Name a folder that does not exist yet, or remove this one.",
        "--count is '0', expected a whole number, 1 or more.",
        "--size is '8', expected a whole number, 32 or more.",
        "shapes takes no 'dog.jpg': it reads nothing. Name the folder to make with --out.",
        "shapes has no --model: it would do nothing. Leave it out.",
        "shapes has no --dtype: it would do nothing. Leave it out.",
      ]
    `);
    expect(readdirSync(out)).toEqual(['notes.txt']);
  });

  it('leaves nothing when it is interrupted', async () => {
    const { code, error } = await run(['--out', out, '--count', '2'], AbortSignal.abort());
    expect([code, error]).toEqual([130, 'Interrupted.\n']);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it('has help', async () => {
    const { code, out: help } = await run(['--help']);
    expect(code).toBe(0);
    expect(help.slice(help.indexOf('Common options'))).toBe(
      'Common options:\n  --json  one JSON object a line on standard output\n  --help  show this help\n',
    );
    expect(help.slice(0, help.indexOf('Common options'))).toMatchInlineSnapshot(`
      "Writes a world of coloured shapes: images with captions and questions, in the files of COCO, VQAv2, GQA, NoCaps and Flickr30K, for training and measuring without a download. Needs no model.

        blip2 shapes --out FOLDER [--seed N] [--count N] [options]

      Options:
        --out FOLDER   folder to make
        --seed N       equal seeds give equal files (default: 1)
        --count N      images for training; validation, test and retrieval have a tenth of it each (default: 10000)
        --size PIXELS  side of the images (default: 128)

      "
    `);
  });
});
