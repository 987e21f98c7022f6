import { fixturePath } from '@blip2/testing';
import { ENGINES } from 'blip2/node';
import { expect, it } from 'vitest';
import { main } from './index.ts';

async function bench(model: string, ...words: string[]): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ['', ''];
  const streams = { out: { write: (text: string) => (out += text) }, error: { write: (text: string) => (error += text) } };
  const code = await main(['bench', '--model', fixturePath('models', model), ...words], streams);
  return { code, out, error };
}

const WRITING = ['--new-tokens', '3', '--beams', '2', '--repeat', '2'];
const milliseconds: unknown = expect.any(Number);

it.each(ENGINES)('gives one JSON object with every figure of a model that writes, %s', async (engine) => {
  const { code, out, error } = await bench('blip2-flan-t5', ...WRITING, '--images', '2', '--engine', engine, '--json');
  expect({ code, error }).toEqual({ code: 0, error: '' });
  expect(out.trim().split('\n')).toHaveLength(1);
  const fields = JSON.parse(out) as Record<string, unknown>;
  expect(fields).toEqual({
    model: fixturePath('models/blip2-flan-t5'),
    engine,
    runsOn: engine === 'eager' ? 'tfjs wasm' : expect.stringMatching(/^ONNX Runtime .*, cpu, fp32$/),
    dtype: 'fp32',
    ...(engine === 'eager' ? {} : { provider: 'cpu', threads: expect.any(Number) }),
    backend: 'wasm',
    versions: { blip2: expect.any(String), node: expect.any(String), tfjs: expect.any(String) },
    machine: expect.objectContaining({ cores: expect.any(Number), memoryBytes: expect.any(Number) }),
    images: 2,
    newTokens: 3,
    beams: 2,
    repeat: 2,
    loadMs: milliseconds,
    firstRunMs: milliseconds,
    preprocessMs: milliseconds,
    visionEncoderMs: milliseconds,
    qformerMs: milliseconds,
    prefillMs: milliseconds,
    tokenMs: milliseconds,
    totalMs: milliseconds,
    peakBytes: expect.any(Number),
  });
  expect(fields['peakBytes']).toBeGreaterThan(50e6); // Node itself takes as much
  expect(fields['totalMs']).toBeGreaterThan(fields['visionEncoderMs'] as number);
});

it('leaves out what the model lacks, and prints a table', async () => {
  const { code, out } = await bench('blip2-itm', '--repeat', '1', '--dtype', 'int8');
  expect(code).toBe(0);
  const lines = out.trimEnd().split('\n');
  expect(lines[0]).toBe(`${fixturePath('models/blip2-itm')}: 1 image at once; medians of 1 run`);
  expect(lines[1]).toMatch(/^compiled on ONNX Runtime [\d.]+, cpu, int8, \d+ threads?; tfjs wasm$/);
  expect(lines[2]).toMatch(/^blip2 [\d.]+, tfjs [\d.]+, Node [\d.]+; \d+ × .+ GB, \w+ \w+$/);
  const labels = lines.slice(4).map((line) => /^(.+?) +[\d.]+ (?:ms|GB)$/.exec(line)?.[1]);
  expect(labels).toEqual([
    'load',
    'first run',
    'preprocess',
    'vision encoder',
    'Q-Former',
    'text encoder',
    'match',
    'all together',
    'peak memory',
  ]);
});

it.each([
  [['--new-tokens', '1'], "--new-tokens is '1', expected a whole number, 2 or more."],
  [['--repeat', '0'], "--repeat is '0', expected a whole number, 1 or more."],
  [['--new-tokens', '100'], 'at most 57'],
])('refuses %j', async (words, message) => {
  const { code, out, error } = await bench('blip2-opt', ...words);
  expect(error).toContain(message);
  expect({ code, out }).toEqual({ code: 2, out: '' });
});
