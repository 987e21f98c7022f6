import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { expectNoLeak, fixturePath } from '@blip2/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from './index.ts';

const scratch = mkdtempSync(join(tmpdir(), 'blip2-errors-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const IMAGE = fixturePath('models/preprocessing/images/landscape.png');
const OPT = fixturePath('models/blip2-opt');
const ITM = fixturePath('models/blip2-itm');
let copies = 0;

/** A copy of a fixture folder to break. */
function copyOf(model: string): string {
  const copy = join(scratch, `${++copies}`);
  cpSync(fixturePath('models', model), copy, { recursive: true });
  return copy;
}

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Rewrites a safetensors header in place; the data stay as they are. */
function editHeader(folder: string, edit: (header: Record<string, TensorEntry>) => void): void {
  const path = join(folder, 'model.safetensors');
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, TensorEntry>;
  edit(header);
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([prefix, text, bytes.subarray(8 + length)]));
}

function editJson(folder: string, file: string, edit: (json: Record<string, unknown>) => void): void {
  const path = join(folder, file);
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  edit(json);
  writeFileSync(path, JSON.stringify(json));
}

async function run(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = '';
  let error = '';
  const code = await main(words, { out: { write: (text) => (out += text) }, error: { write: (text) => (error += text) } });
  return { code, out, error };
}

/** Every unusable input: exit code 2, nothing on standard output, no tensors left, and a message with these words. */
async function refused(words: string[], ...expected: (string | RegExp)[]): Promise<void> {
  await expectNoLeak(async () => {
    const { code, out, error } = await run(...words);
    for (const part of expected) expect(error).toMatch(part);
    expect(error.trim().split('\n')).toHaveLength(1);
    expect(out).toBe('');
    expect(code).toBe(2);
  });
}

const SOME = 'qformer.encoder.layer.0.attention.output.dense.weight';

describe('checkpoints', () => {
  it.each<[string, (folder: string) => void, (string | RegExp)[]]>([
    ['a truncated header', (folder) => truncateSync(join(folder, 'model.safetensors'), 100), ['model.safetensors', /header/i]],
    [
      'a truncated file',
      (folder) => truncateSync(join(folder, 'model.safetensors'), 500_000),
      ['model.safetensors', /ends at byte \d+/],
    ],
    [
      'an oversized header',
      (folder) => {
        const path = join(folder, 'model.safetensors');
        const bytes = readFileSync(path);
        bytes.writeBigUInt64LE(2n ** 60n);
        writeFileSync(path, bytes);
      },
      ['model.safetensors', /header/i],
    ],
    ['an empty file', (folder) => writeFileSync(join(folder, 'model.safetensors'), ''), ['model.safetensors']],
    [
      'overlapping offsets',
      (folder) => editHeader(folder, (header) => void (header[SOME]!.data_offsets = header['query_tokens']!.data_offsets)),
      ['model.safetensors', /overlap|bytes/],
    ],
    [
      'offsets out of range',
      (folder) => editHeader(folder, (header) => void (header[SOME]!.data_offsets = [1e9, 1e9 + 4096])),
      ['model.safetensors', SOME],
    ],
    [
      'an unknown dtype',
      (folder) => editHeader(folder, (header) => void (header[SOME]!.dtype = 'F31')),
      ['model.safetensors', 'F31'],
    ],
    [
      'a wrong dtype',
      (folder) => editHeader(folder, (header) => void (header[SOME]!.dtype = 'F16')),
      ['model.safetensors', SOME],
    ],
    [
      'a wrong shape',
      (folder) => editHeader(folder, (header) => void (header[SOME]!.shape = [16, 64])),
      [SOME, '[16, 64]', '[32, 32]'],
    ],
    [
      'a missing tensor',
      (folder) =>
        editHeader(folder, (header) => {
          header['qformer.unknown'] = header[SOME]!;
          delete header[SOME];
        }),
      [SOME, 'qformer.unknown'],
    ],
    [
      'an extra tensor',
      (folder) =>
        editHeader(folder, (header) => {
          header['stray.weight'] = { dtype: 'F32', shape: [0], data_offsets: [0, 0] };
        }),
      ['stray.weight'],
    ],
    ['broken JSON', (folder) => writeFileSync(join(folder, 'config.json'), '{"model_type": '), ['config.json', /JSON/]],
    ['no configuration', (folder) => rmSync(join(folder, 'config.json')), ['config.json']],
    [
      "another model's configuration",
      (folder) => editJson(folder, 'config.json', (json) => void (json['model_type'] = 'llava')),
      ['config.json', 'llava', 'blip-2'],
    ],
    [
      'a configuration of another size',
      (folder) =>
        editJson(folder, 'config.json', (json) => void ((json['qformer_config'] as Record<string, unknown>)['hidden_size'] = 64)),
      [/expected \[/],
    ],
    [
      'an unknown tokenizer',
      (folder) => editJson(folder, 'tokenizer.json', (json) => void (json['model'] = { type: 'Mystery' })),
      ['tokenizer', /Mystery/],
    ],
    ['no weights', (folder) => rmSync(join(folder, 'model.safetensors')), [/safetensors/]],
  ])('refuses %s', async (_, damage, expected) => {
    const folder = copyOf('blip2-opt');
    damage(folder);
    await refused(['caption', IMAGE, '--model', folder], ...expected);
  });

  it('refuses a missing shard', async () => {
    const folder = copyOf('blip2-flan-t5-bfloat16-sharded');
    rmSync(join(folder, 'model-00002-of-00004.safetensors'));
    await refused(['caption', IMAGE, '--model', folder], 'model-00002-of-00004.safetensors');
  });

  it('refuses a folder that is not there, and says how it read the name', async () => {
    await refused(['caption', IMAGE, '--model', './no/such/folder'], './no/such/folder');
  });
});

describe('images', () => {
  it('refuses what is not an image', async () => {
    const file = join(scratch, 'not-an-image.jpg');
    writeFileSync(file, 'This is a text.');
    await refused(['caption', file, '--model', OPT], 'not-an-image.jpg');
  });

  it('refuses a picture of a gigapixel before it decodes it', async () => {
    const file = join(scratch, 'bomb.png');
    writeFileSync(file, gigapixelPng());
    await refused(['caption', file, '--model', OPT], 'bomb.png', /32768/);
  });

  it('refuses a missing file, and still serves the others', async () => {
    const { code, out, error } = await run('match', IMAGE, 'missing.png', IMAGE, '--text', 'tennis', '--model', ITM, '--json');
    expect(out.trim().split('\n')).toHaveLength(2);
    expect(error).toContain('missing.png');
    expect(code).toBe(2);
  });
});

describe('texts and command lines', () => {
  it.each<[string[], (string | RegExp)[]]>([
    [['answer', IMAGE, '--question', '', '--model', OPT], [/question is empty/]],
    [['answer', IMAGE, '--question', ' !!', '--model', OPT], [/question is empty/]],
    [['answer', IMAGE, '--model', OPT], [/No question/]],
    [['answer', '--question', 'why?', '--model', OPT], [/No image/]],
    [
      ['match', IMAGE, '--text', 'a '.repeat(600), '--model', ITM],
      [/tokens/, /40/],
    ],
    [['match', IMAGE, '--text', '  ', '--model', ITM], [/empty/]],
    [['match', IMAGE, '--model', ITM], [/No text/]],
    [
      ['match', IMAGE, '--text', 'a dog', '--model', OPT],
      [/does not read text/, 'blip2-itm-vit-g'],
    ],
    [['answer', IMAGE, '--question', 'why?', '--model', ITM], [/no language model/]],
    [['caption', IMAGE, '--model', ITM], [/cannot write text/]],
    [['caption', IMAGE, '--prompt', 'a '.repeat(400), '--model', OPT], [/64/]],
    [['caption', '--model', OPT], [/No image/]],
    [
      ['caption', IMAGE, '--model', OPT, '--beams', '0'],
      ['--beams', "'0'"],
    ],
    [
      ['caption', IMAGE, '--model', OPT, '--return-sequences', '9'],
      [/9/, /5/],
    ],
    [['caption', IMAGE, '--model', OPT, '--backend', 'webgpu'], [/webgpu/]],
    [
      ['caption', IMAGE, '--model', OPT, '--dtype', 'int3'],
      [/int3/, /fp32/],
    ],
    [
      ['caption', IMAGE, '--model', OPT, '--engine', 'fast'],
      ["--engine is 'fast'", /compiled, eager/],
    ],
    [['caption', IMAGE, '--model', OPT, '--engine', 'eager', '--dtype', 'int8'], [/--dtype int8 is for the compiled engine/]],
    [['caption', IMAGE, '--model', OPT, '--engine', 'eager', '--provider', 'cpu'], [/--provider cpu is for the compiled engine/]],
    [
      ['caption', IMAGE, '--model', OPT, '--provider', 'tpu'],
      ["--provider is 'tpu'", /cpu, webgpu, cuda/],
    ],
    [['draw', IMAGE], [/Unknown verb 'draw'/]],
    [['embed', IMAGE, '--model', ITM], [/--out/]],
  ])('refuses %j', async (words, expected) => {
    await refused(words, ...expected);
  });

  it('says where it could not write, and leaves nothing there', async () => {
    const out = join(scratch, 'no', 'such', 'folder', 'embeddings.safetensors');
    await refused(['embed', IMAGE, '--model', ITM, '--out', out], out);
    const occupied = join(scratch, 'occupied');
    mkdirSync(occupied);
    await refused(['embed', IMAGE, '--model', ITM, '--out', occupied], occupied);
    await refused(['embed', IMAGE, '--model', ITM, '--out', '/dev/null'], '/dev/null is a device');
    expect(readdirSync(scratch).filter((name) => name.startsWith('occupied'))).toEqual(['occupied']);
  });
});

/** 32768 × 32768 grey pixels, 1 GB decoded, a megabyte in the file. */
function gigapixelPng(): Buffer {
  const side = 32768;
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8; // bits a sample, grey
  const rows = deflateSync(Buffer.alloc(64 * (side + 1)), { level: 1 }); // a few rows: the limit comes before the data
  return Buffer.concat([
    Buffer.from('\u0089PNG\r\n\u001A\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', rows),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
