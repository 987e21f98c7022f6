import '@tensorflow/tfjs-backend-cpu';
import { mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '@blip2/checkpoints/node';
import type { Checkpoint, Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compileFor, type CompileOptions, type Target } from '../compile.ts';
import { FileWeightStore } from '../runtime/file-weight-store.ts';
import { createNodeRuntime, type NodeRuntime } from '../runtime/node-runtime.ts';
import { GraphCache } from './graph-cache.ts';
import { GRAPH_FORMAT } from './graph-store.ts';

let folder: string;
let runtime: NodeRuntime;
let target: Target;
const opened: Checkpoint[] = [];
/** How often the function was traced. */
let traces = 0;

interface Inputs {
  readonly x: tf.Tensor2D;
}

interface Weights {
  readonly weight: tf.Tensor2D;
}

function project({ x }: Inputs, { weight: matrix }: Weights): tf.Tensor2D {
  traces++;
  return tf.matMul(x, matrix, false, true);
}

beforeEach(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'blip2-graphs-'));
  runtime = await createNodeRuntime();
  target = open(runtime);
  traces = 0;
  await writeWeights(1);
});

afterEach(async () => {
  runtime.dispose();
  for (const checkpoint of opened.splice(0)) checkpoint.dispose();
  await rm(folder, { recursive: true, force: true });
});

const open = (on: NodeRuntime): Target => ({
  runtime: on,
  weights: new FileWeightStore({ cacheFolder: join(folder, 'cache') }),
  graphs: new GraphCache(join(folder, 'cache'), on),
});

/** A matrix [2, 3] of one number in a safetensors file. */
async function writeWeights(value: number): Promise<void> {
  const header = JSON.stringify({ weight: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] } });
  const padded = header.padEnd(8 * Math.ceil(header.length / 8));
  const bytes = new Uint8Array(8 + padded.length + 24);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded.length), true);
  bytes.set(new TextEncoder().encode(padded), 8);
  bytes.set(new Uint8Array(new Float32Array(6).fill(value).buffer), 8 + padded.length);
  await writeFile(join(folder, 'model.safetensors'), bytes);
  await writeFile(join(folder, 'config.json'), '{}');
}

async function weight(): Promise<Weight> {
  const checkpoint = await openCheckpoint(folder);
  opened.push(checkpoint);
  return checkpoint.weights.get('weight')!;
}

/** Compiles and runs. @returns the first number of the result for ones. */
async function start(options: Partial<CompileOptions<Inputs, Weights>> = {}): Promise<number> {
  using compiled = await compileFor<Inputs, tf.Tensor2D, Weights>(target, project, {
    inputs: { x: { shape: ['rows', 3] } },
    weights: { weight: await weight() },
    identity: { version: 1 },
    ...options,
  });
  const y = await compiled.run({ x: tf.ones([1, 3]) });
  return (await y.data())[0]!;
}

const entryFolder = async (): Promise<string> => {
  const graphs = join(folder, 'cache', `graphs-${GRAPH_FORMAT}`);
  const entries = await readdir(graphs);
  expect(entries).toHaveLength(1); // and nothing half-written beside it
  return join(graphs, entries[0]!);
};

it('a second start traces nothing', async () => {
  expect(await start()).toBe(3);
  const traced = traces;
  expect(traced).toBeGreaterThan(0);
  target = open(runtime);
  expect(await start()).toBe(3);
  expect(traces).toBe(traced);
});

it.each<{ name: string; options: Partial<CompileOptions<Inputs, Weights>> }>([
  { name: 'another version', options: { identity: { version: 2 } } },
  { name: 'another number format', options: { dtype: 'int8' } },
  { name: 'other inputs', options: { inputs: { x: { shape: [1, 3] } } } },
  { name: 'no identity', options: { identity: undefined } },
])('$name is compiled anew', async ({ options }) => {
  await start();
  const traced = traces;
  await start(options);
  expect(traces).toBeGreaterThan(traced);
});

it('another provider or version of ONNX Runtime finds nothing', async () => {
  const key = { identity: 1, inputs: {}, weights: { weight: await weight() }, dtype: 'fp32', quantize: 'never' };
  const other = Object.create(runtime, { name: { value: 'ONNX Runtime 1.31.0, cpu' } }) as NodeRuntime;
  expect(await new GraphCache(folder, other).keyOf(key)).not.toBe(await new GraphCache(folder, runtime).keyOf(key));
});

it('weights that changed are used as they are now', async () => {
  expect(await start()).toBe(3);
  await writeWeights(2);
  await utimes(join(folder, 'model.safetensors'), new Date(), new Date(Date.now() + 5000));
  expect(await start()).toBe(6);
});

it.each<{ name: string; damage: (entry: string) => Promise<void> }>([
  { name: 'a cut model', damage: (entry) => truncate(join(entry, 'model.onnx'), 40) },
  { name: 'a model with a wrong byte', damage: (entry) => flipByte(join(entry, 'model.onnx')) },
  { name: 'an entry that is no JSON', damage: (entry) => writeFile(join(entry, 'entry.json'), '{"hash":') },
  { name: 'an entry with a wrong byte', damage: (entry) => flipByte(join(entry, 'entry.json')) },
  { name: 'a missing model', damage: (entry) => rm(join(entry, 'model.onnx')) },
])('$name is built again', async ({ damage }) => {
  await start();
  await damage(await entryFolder());
  const traced = traces;
  expect(await start()).toBe(3);
  expect(traces).toBeGreaterThan(traced);
  expect(await start()).toBe(3);
  expect(traces).toBe(2 * traced); // the third start found it
});

async function flipByte(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  await writeFile(file, bytes);
}

it('a cache that cannot be written costs time, not the work', async () => {
  await writeFile(join(folder, 'cache'), 'a file where the folder should be');
  expect(await start()).toBe(3);
  expect(await start()).toBe(3);
});
