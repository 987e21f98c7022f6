import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { main } from './index.ts';

const MODEL = fixturePath('models/blip2-opt');
const IMAGE = fixturePath('models/preprocessing/images/landscape.png');

let scratch: string;
let out: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'blip2-cli-convert-'));
  out = join(scratch, 'out');
});

afterEach(() => rmSync(scratch, { recursive: true }));

async function run(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  const [written, remarks]: [string[], string[]] = [[], []];
  const streams = {
    out: { write: (text: string) => written.push(text) },
    error: { write: (text: string) => remarks.push(text) },
  };
  const code = await main(words, streams);
  const shown = (parts: readonly string[]): string => parts.join('').replaceAll(scratch, 'SCRATCH').replaceAll(MODEL, 'MODEL');
  return { code, out: shown(written), error: shown(remarks) };
}

describe('convert', () => {
  it('says in one JSON line which files it wrote and what was lost', async () => {
    const { code, out: line, error } = await run('convert', '--model', MODEL, '--out', out, '--dtype', 'int8', '--json');
    expect([code, error]).toEqual([0, '']);
    const { files, relativeError, worst, ...result } = JSON.parse(line) as Record<string, unknown> & { worst: { name: string } };
    expect(result).toMatchInlineSnapshot(`
      {
        "dtype": "int8",
        "out": "SCRATCH/out",
        "parameters": 193008,
        "quantizedMatrices": 30,
        "quantizedParameters": 95616,
        "sourceBytes": 772032,
        "storedBytes": 533760,
      }
    `);
    expect(files).toEqual(expect.arrayContaining(readdirSync(out)));
    expect(files).toEqual(
      expect.arrayContaining(['model.safetensors', 'config.json', 'tokenizer.json', 'quantization-report.json']),
    );
    expect(relativeError).toBeGreaterThan(0.004);
    expect(relativeError).toBeLessThan(0.006);
    expect(worst.name).toMatch(/^(vision|language)_model\./);
  });

  it('says the same to a person', async () => {
    const { out: text } = await run('convert', '--model', MODEL, '--out', out, '--dtype', 'int4', '--block-size', '16');
    expect(text).toMatchInlineSnapshot(`
      "SCRATCH/out: 12 files, 0.5 MB of weights; they were 0.8 MB
      int4: 30 matrices with 49.5 % of 193,008 parameters
      error: 6.9 % of the weights, at most 7.2 % (language_model.model.decoder.layers.1.self_attn.out_proj.weight)
      "
    `);
    const cast = await run('convert', '--model', MODEL, '--out', `${out}-2`, '--dtype', 'fp16', '--names', 'hub');
    expect(cast.out).toMatchInlineSnapshot(`
      "SCRATCH/out-2: 11 files, 0.4 MB of weights; they were 0.8 MB
      "
    `);
  });

  it('writes what the other verbs take', async () => {
    expect((await run('convert', '--model', MODEL, '--out', out, '--dtype', 'int8', '--shard-size', '0.1MB')).code).toBe(0);
    expect(readdirSync(out).filter((name) => /^model-\d+-of-\d+\.safetensors$/.test(name)).length).toBeGreaterThan(2);
    const words = ['caption', IMAGE, '--engine', 'eager', '--beams', '1', '--max-new-tokens', '12', '--json'];
    const [original, quantized] = [await run(...words, '--model', MODEL), await run(...words, '--model', out)];
    expect(quantized).toEqual(original); // the same words, at 1.7 % error of the logits
    const inspected = await run('inspect', '--model', out, '--json');
    expect(JSON.parse(inspected.out.split('\n')[0]!)).toMatchObject({
      part: 'vision encoder',
      dtypes: { int8: 40_320, F32: 25_424 },
    });
    expect(inspected.out).toContain('"missing":[],"unused":[]');
  });

  it('keeps what it is told to keep', async () => {
    await run('convert', '--model', MODEL, '--out', out, '--dtype', 'int8', '--keep', 'vision_model.*', '*.fc2.weight');
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as { quantization_config: { kept: string[] } };
    expect(config.quantization_config.kept).toEqual(
      expect.arrayContaining([
        'vision_model.encoder.layers.*.mlp.fc1.weight',
        'language_model.model.decoder.layers.*.fc2.weight',
      ]),
    );
    expect(config.quantization_config.kept).not.toContain('language_model.model.decoder.layers.*.fc1.weight');
  });

  it('has help of its own, with its own --dtype', async () => {
    const { code, out: help } = await run('convert', '--help');
    expect(code).toBe(0);
    expect(help.match(/--dtype/g)).toHaveLength(2); // in the usage and among its options
    expect(help).toContain('int8|int4|fp16|bf16|fp32');
  });
});

describe('convert refuses, and leaves nothing behind,', () => {
  it.each<[string, string[], string | RegExp]>([
    [
      'a folder that has something in it',
      ['--dtype', 'int8', '--out', 'SCRATCH/full'],
      /SCRATCH\/full: already exists and holds notes\.txt/,
    ],
    ['a file as folder', ['--dtype', 'int8', '--out', 'SCRATCH/full/notes.txt'], /notes\.txt: cannot be made/],
    [
      'a folder in none',
      ['--dtype', 'int8', '--out', 'SCRATCH/no/such'],
      /SCRATCH\/no\/such: cannot be written: there is no such/,
    ],
    ['a device', ['--dtype', 'int8', '--out', '/dev/null'], /\/dev\/null: cannot be made/],
    ['no folder', ['--dtype', 'int8'], 'No folder to write was named: pass --out FOLDER.'],
    [
      'an unknown dtype',
      ['--dtype', 'int3', '--out', 'SCRATCH/out'],
      "--dtype is 'int3', expected one of int8, int4, fp16, bf16, fp32.",
    ],
    ['unknown names', ['--names', 'keras', '--out', 'SCRATCH/out'], "--names is 'keras', expected one of hub, lavis."],
    ['nothing to do', ['--out', 'SCRATCH/out'], 'Nothing to change was named'],
    [
      'a size without meaning',
      ['--shard-size', '5 apples', '--out', 'SCRATCH/out'],
      "--shard-size is '5 apples', expected a size such as 500MB",
    ],
    [
      'a size of nothing',
      ['--shard-size', '0.1B', '--out', 'SCRATCH/out'],
      "--shard-size is '0.1B', expected a size such as 500MB",
    ],
    [
      'odd blocks',
      ['--dtype', 'int8', '--block-size', '100', '--out', 'SCRATCH/out'],
      /block size is 100, expected a power of two/,
    ],
    ['names that fit nothing', ['--dtype', 'int8', '--keep', 'lm_haed*', '--out', 'SCRATCH/out'], /no weight fits 'lm_haed\*'/],
    ['blocks of floats', ['--dtype', 'fp16', '--block-size', '32', '--out', 'SCRATCH/out'], /blockSize is for int8 and int4/],
    ['a folder without a model', ['--model', 'SCRATCH/full', '--dtype', 'int8', '--out', 'SCRATCH/out'], /found no weights/],
    ['a key bias that LAVIS lacks', ['--names', 'lavis', '--out', 'SCRATCH/out'], /has a key bias/],
  ])('%s', async (_, words, message) => {
    mkdirSync(join(scratch, 'full'));
    writeFileSync(join(scratch, 'full', 'notes.txt'), 'mine');
    const model = words.includes('--model') ? [] : ['--model', MODEL];
    const {
      code,
      out: written,
      error,
    } = await run('convert', ...model, ...words.map((word) => word.replace('SCRATCH', scratch)));
    expect(error).toMatch(message);
    expect(error.trim().split('\n')).toHaveLength(1);
    expect([code, written]).toEqual([2, '']);
    expect(readdirSync(scratch)).toEqual(['full']);
    expect(readdirSync(join(scratch, 'full'))).toEqual(['notes.txt']);
  });

  it('a model that is quantised already', async () => {
    await run('convert', '--model', MODEL, '--out', out, '--dtype', 'int8');
    const { code, error } = await run('convert', '--model', out, '--out', join(scratch, 'again'), '--dtype', 'int4');
    expect(error).toMatchInlineSnapshot(`
      "convertCheckpoint: SCRATCH/out is quantised already (30 matrices, such as language_model.model.decoder.layers.0.fc1.weight with 8 bits), expected floats: quantising twice adds up the errors. Convert the original model.
      "
    `);
    expect(code).toBe(2);
    expect(readdirSync(scratch)).toEqual(['out']);
  });

  it('an interruption', async () => {
    const streams = { out: { write: () => undefined }, error: { write: () => undefined } };
    const abortSignal = AbortSignal.abort();
    const code = await main(['convert', '--model', MODEL, '--out', out, '--dtype', 'int8'], streams, { abortSignal });
    expect(code).toBe(130);
    expect(readdirSync(scratch)).toEqual([]);
  });
});
