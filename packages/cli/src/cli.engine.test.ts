import { spawn } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { main } from './index.ts';

const BIN = fileURLToPath(new URL('bin.ts', import.meta.url));
const WITHOUT_ONNX_RUNTIME = new URL('../../../testing/src/without-onnxruntime.ts', import.meta.url).href;
const IMAGE = fixturePath('models/preprocessing/images/landscape.png');
const OPT = fixturePath('models/blip2-opt');
const CAPTION = ['caption', IMAGE, '--model', OPT, '--max-new-tokens', '6', '--json'];

/** The command as a process of its own, where onnxruntime-node is not installed. */
async function withoutOnnxRuntime(...words: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const env = { ...process.env, NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --import ${WITHOUT_ONNX_RUNTIME}` };
  const child = spawn(process.execPath, [BIN, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out, error };
}

async function blip2(...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ['', ''];
  const code = await main(words, { out: { write: (text) => (out += text) }, error: { write: (text) => (error += text) } });
  return { code, out, error };
}

describe('without onnxruntime-node', () => {
  it('captions eagerly after one remark on standard error', async () => {
    const { code, out, error } = await withoutOnnxRuntime(...CAPTION);
    const compiled = await blip2(...CAPTION);
    expect(code).toBe(0);
    const [[expected], [actual]] = [compiled.out, out].map((text) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ) as [[{ tokenIds: number[]; score: number }], [{ tokenIds: number[]; score: number }]];
    expect(actual.tokenIds).toEqual(expected.tokenIds);
    expect(error.trim().split('\n')).toEqual([
      expect.stringMatching(/^Models will run on tfjs, many times slower than compiled\..*npm install onnxruntime-node/),
    ]);
  });

  it('says nothing when eager execution was asked for', async () => {
    expect(await withoutOnnxRuntime(...CAPTION, '--engine', 'eager')).toMatchObject({ code: 0, error: '' });
  });

  it.each([[['--engine', 'compiled']], [['--dtype', 'int8']], [['--provider', 'cpu']]])('refuses %j', async (options) => {
    const { code, out, error } = await withoutOnnxRuntime(...CAPTION, ...options);
    expect(error).toContain(`${options.join(' ')} cannot be followed on this machine.`);
    expect(error).toMatch(/npm install onnxruntime-node; or take --engine eager\.\n$/);
    expect(error.trim().split('\n')).toHaveLength(1);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });
});

describe('number formats', () => {
  it.each(['int8', 'int4'])('captions, answers and matches with %s', async (dtype) => {
    const caption = await blip2(...CAPTION, '--dtype', dtype);
    expect(caption).toMatchObject({ code: 0, error: '' });
    const answer = ['answer', IMAGE, '--question', 'what is this?', '--model', fixturePath('models/blip2-flan-t5')];
    expect(await blip2(...answer, '--dtype', dtype)).toMatchObject({ code: 0, error: '' });
    const match = ['match', IMAGE, '--text', 'tennis', '--model', fixturePath('models/blip2-itm')];
    expect(await blip2(...match, '--dtype', dtype)).toMatchObject({ code: 0, error: '' });
  });
});
