import '@tensorflow/tfjs-backend-cpu';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomWeights, type Weight } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { compile, nodeTarget } from '../node.ts';
import { OnnxExporter } from './onnx-exporter.ts';

let folder: string;

beforeEach(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'blip2-export-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

interface Weights {
  readonly weight: tf.Tensor2D; // [64, 32]
}

const weight: Weight = randomWeights((reader) => reader.take('weight', [64, 32])).get('weight')!;
const inputs = { x: { shape: ['rows', 32] } };
const x = Float32Array.from({ length: 64 }, (_, index) => Math.sin(index));

const project = ({ weight: matrix }: Weights, { x: rows }: { x: tf.Tensor2D }): { y: tf.Tensor2D } => ({
  y: tf.matMul(rows, matrix, false, true),
});

it('writes models that ONNX Runtime reads, with weights in one file', async () => {
  const exporter = await OnnxExporter.create(join(folder, 'out'), await nodeTarget());
  const first = await exporter.engine.prepare(project, { name: 'first one', params: { weight }, inputs });
  await exporter.engine.prepare(project, { name: 'second', params: { weight }, inputs });
  expect((await exporter.finish()).map(({ file }) => file)).toEqual(['first-one.onnx', 'second.onnx']);
  expect((await readdir(join(folder, 'out'))).toSorted()).toEqual([
    'first-one.onnx',
    'models.json',
    'second.onnx',
    'weights.bin',
  ]);
  const expected = await (await first.run({ x: { shape: [2, 32], data: x } })).y.data();
  const session = await InferenceSession.create(join(folder, 'out', 'second.onnx'));
  expect([session.inputNames, session.outputNames]).toEqual([['x'], ['y']]);
  const { y } = await session.run({ x: new Tensor('float32', x, [2, 32]) });
  expect(y!.data as Float32Array).toBeAllclose(expected as Float32Array, 1e-6);
  const listed = JSON.parse(await readFile(join(folder, 'out', 'models.json'), 'utf8')) as { models: { inputs: unknown }[] };
  expect(listed.models[0]!.inputs).toEqual([{ name: 'x', type: 'float32', shape: ['rows', 32] }]);
  await session.release();
});

it('does not touch a folder that exists', async () => {
  await mkdir(join(folder, 'out'));
  await expect(OnnxExporter.create(join(folder, 'out'), await nodeTarget())).rejects.toThrow('exists, expected a new one');
});

it('leaves nothing when it is given up', async () => {
  const exporter = await OnnxExporter.create(join(folder, 'out'), await nodeTarget());
  await exporter.engine.prepare(project, { name: 'first', params: { weight }, inputs });
  await exporter.dispose();
  expect(await readdir(folder)).toEqual([]);
});

it('a compiled function gives its model file, weights included', async () => {
  using compiled = await compile((tensors: { x: tf.Tensor2D }, weights: Weights) => project(weights, tensors), {
    inputs,
    weights: { weight },
  });
  const path = join(folder, 'model.onnx');
  await writeFile(path, await compiled.toOnnx());
  expect((await stat(path)).size).toBeGreaterThan(64 * 32 * 4);
  const session = await InferenceSession.create(path);
  const { y } = await session.run({ x: new Tensor('float32', x, [2, 32]) });
  const expected = await (await compiled.run({ x: { shape: [2, 32], data: x } })).y.data();
  expect(y!.data as Float32Array).toBeAllclose(expected as Float32Array, 1e-6);
  await session.release();
});
