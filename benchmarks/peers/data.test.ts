import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpointFolder, openSafetensorsFile } from '@blip2/checkpoints/node';
import { readCheckpointJson, WeightReader } from '@blip2/core';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { describeQFormer, isQFormerWeight, loadQFormer } from '@blip2/qformer';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomNormals } from '../random-checkpoint.ts';
import { qformerSize } from '../../packages/tiny/training/sizes.ts';
import { BenchmarkData, stageOneConfig } from './data.ts';
import { configJsonOf } from './model-configs.ts';

let folder: string;
let data: BenchmarkData;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-data-'));
  data = new BenchmarkData(folder, { small: true });
});
afterAll(() => rm(folder, { recursive: true }));

describe('checkpoints', () => {
  it('are written once', async () => {
    const messages: string[] = [];
    const first = await data.checkpoint('itm-vit-g', (message) => messages.push(message));
    const { mtimeMs } = await stat(join(first, 'model.safetensors'));
    expect(await data.checkpoint('itm-vit-g', (message) => messages.push(message))).toBe(first);
    expect((await stat(join(first, 'model.safetensors'))).mtimeMs).toBe(mtimeMs);
    expect(messages).toHaveLength(1);
  });

  it('are what the stages load, without a weight missing or left over', async () => {
    using matching = await openCheckpointFolder(await data.checkpoint('itm-vit-g'));
    (await loadVisionEncoder(matching)).dispose();
    (await loadQFormer(matching)).dispose();
    for (const name of ['opt-2.7b', 'flan-t5-xl'] as const) {
      using checkpoint = await openCheckpointFolder(await data.checkpoint(name));
      using model = await loadLanguageModel(checkpoint);
      expect(model.parameterCount).toBe(data.parameterCount(name));
    }
    using stageOne = await openCheckpointFolder(await data.checkpoint('stage-1'));
    const reader = new WeightReader(stageOne.weights, 'Q-Former');
    describeQFormer(reader, stageOneConfig(await readCheckpointJson(stageOne, 'config.json')));
    expect(() => reader.finish(isQFormerWeight)).not.toThrow();
    expect([...(await stageOne.weights.get('temp')!.read())]).toEqual([Math.fround(0.07)]);
  });

  it('have the dimensions of the published models, unless they are small', () => {
    const full = new BenchmarkData(folder);
    expect(full.parameterCount('itm-vit-g')).toBe(1_172_032_258);
    expect(full.parameterCount('opt-2.7b')).toBe(2_651_678_720);
    expect(full.parameterCount('flan-t5-xl')).toBe(2_849_757_184);
    expect(full.parameterCount('stage-1')).toBe(186_705_470);
    // 107,133,696 of the bridge; 8 of the 32 layers of OPT-2.7B.
    const layer = 78_676_480;
    expect(full.parameterCount('stage-2-opt-2.7b-8-layers')).toBe(107_133_696 + 2_651_678_720 - 24 * layer);
  });

  it('have the dimensions of the tiny models; VERSION is to be raised when they change', () => {
    expect(stageOneConfig(configJsonOf('tiny-stage-1', false))).toEqual(qformerSize(202));
    const full = new BenchmarkData(folder);
    const counts = (['tiny-stage-1', 'tiny-stage-2-opt', 'tiny-stage-2-t5'] as const).map((name) => full.parameterCount(name));
    expect(counts).toMatchInlineSnapshot(`
      [
        1656525,
        1967360,
        2305024,
      ]
    `);
  });
});

describe('inputs', () => {
  it('are images and features, and a question', async () => {
    using file = await openSafetensorsFile(await data.inputs('itm-vit-g'));
    expect(file.get('images')!.shape).toEqual([8, 56, 56, 3]);
    expect(file.get('features')!.shape).toEqual([8, 17, 64]);
    expect(await data.inputs('opt-2.7b')).toBe(await data.inputs('itm-vit-g'));
  });

  it('of the first stage are features, and texts that end where their masks do', async () => {
    using file = await openSafetensorsFile(await data.inputs('stage-1'));
    expect(file.get('features')!.shape).toEqual([8, 17, 64]);
    const ids = await file.get('text_ids')!.read();
    const mask = await file.get('text_mask')!.read();
    for (let row = 0; row < 8; row++) {
      const length = mask.slice(32 * row, 32 * (row + 1)).filter((real) => real === 1).length;
      expect(length).toBe(32 - 2 * row);
      expect(ids[32 * row]).toBe(101);
      expect(ids[32 * row + length - 1]).toBe(102);
      expect(ids.slice(32 * row + length, 32 * (row + 1)).every((id) => id === 0)).toBe(true);
    }
  });

  it('of the second stage are what the language model reads, and what it is to predict', async () => {
    using opt = await openSafetensorsFile(await data.inputs('tiny-stage-2-opt'));
    expect(opt.get('features')!.shape).toEqual([64, 65, 128]);
    const [ids, labels] = [await opt.get('text_ids')!.read(), await opt.get('labels')!.read()];
    expect(Math.max(...ids)).toBeLessThan(625);
    expect([ids[0], ids[35], ids[36 + 33], ids[36 + 34], labels[36 + 34]]).toEqual([2, 14, 14, 1, -100]);
    expect(labels.slice(0, 36)).toEqual(ids.slice(0, 36));

    using t5 = await openSafetensorsFile(await data.inputs('tiny-stage-2-t5'));
    expect(t5.get('prompt_ids')!.shape).toEqual([64, 24]);
    const [inputs, targets] = [await t5.get('decoder_ids')!.read(), await t5.get('labels')!.read()];
    expect(inputs[36]).toBe(0);
    expect(inputs.slice(37, 72 - 2)).toEqual(targets.slice(36, 71 - 2)); // all but the last, one place on
    expect([targets[36 + 33], targets[36 + 34]]).toEqual([1, -100]);
  });
});

describe('randomNormals', () => {
  it('has the mean and deviation that were asked for, and the same numbers again', () => {
    const values = randomNormals(100_000, 7, { mean: 1, deviation: 0.02 });
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(mean).toBeCloseTo(1, 3);
    expect(Math.sqrt(variance)).toBeCloseTo(0.02, 3);
    expect(randomNormals(5, 7, { mean: 1, deviation: 0.02 })).toEqual(values.slice(0, 5));
  });

  it('repeats no row of a large matrix', () => {
    const values = randomNormals(4096 * 2048, 0);
    const firstNumbers = Array.from({ length: 4096 }, (_, row) => values.subarray(row * 2048, row * 2048 + 2).join());
    expect(new Set(firstNumbers).size).toBe(4096);
  });
});
