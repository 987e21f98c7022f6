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
import { BenchmarkData, stageOneConfig } from './data.ts';

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
  });
});

describe('inputs', () => {
  it('are images, features and texts that end where their masks do', async () => {
    using file = await openSafetensorsFile(await data.inputs());
    expect(file.get('images')!.shape).toEqual([8, 56, 56, 3]);
    expect(file.get('features')!.shape).toEqual([8, 17, 64]);
    const ids = await file.get('training_ids')!.read();
    const mask = await file.get('training_mask')!.read();
    for (let row = 0; row < 8; row++) {
      const length = mask.slice(32 * row, 32 * (row + 1)).filter((real) => real === 1).length;
      expect(ids[32 * row]).toBe(101);
      expect(ids[32 * row + length - 1]).toBe(102);
      expect(ids.slice(32 * row + length, 32 * (row + 1)).every((id) => id === 0)).toBe(true);
    }
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
