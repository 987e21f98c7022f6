import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor1D } from '@tensorflow/tfjs-core';
import { expect, it } from 'vitest';
import type { Progress } from './abort-and-progress.ts';
import { readCheckpointConfig, readCheckpointJson } from './checkpoint-json.ts';
import { ConfigError } from './errors.ts';
import { loadBlocks, ParameterBlock, WeightBudget } from './parameters.ts';
import { type Checkpoint, type Weight, weightFromValues } from './weights.ts';

const vector = (size: number): Weight => weightFromValues(`vector${size}`, [size], new Float32Array(size));
const makeBlocks = (budget: WeightBudget, ...weights: Weight[]) =>
  weights.map((weight, index) => new ParameterBlock<{ weight: Tensor1D }>(`block ${index}`, { weight }, budget));

it('loads what is resident, and counts its bytes', () =>
  expectNoLeak(async () => {
    const before = tf.memory().numTensors;
    const blocks = makeBlocks(new WeightBudget(40), vector(4), vector(6), vector(8));
    const events: Progress[] = [];
    await loadBlocks(blocks, 'toy', { onProgress: (event) => events.push(event) });
    expect(events.map(({ loadedBytes, totalBytes }) => [loadedBytes, totalBytes])).toEqual([
      [16, 40],
      [40, 40],
    ]);
    expect(tf.memory().numTensors).toBe(before + 2);
    for (const block of blocks) block.dispose();
  }));

it('completes its progress when everything streams', async () => {
  const events: Progress[] = [];
  await loadBlocks(makeBlocks(new WeightBudget(0), vector(4)), 'toy', { onProgress: (event) => events.push(event) });
  expect(events).toEqual([{ phase: 'load', part: 'toy', loadedBytes: 0, totalBytes: 0 }]);
});

it('keeps nothing after an error or an abort', async () => {
  const budget = new WeightBudget(100);
  const broken: Weight = { ...vector(2), read: () => Promise.reject(new Error('unreadable')) };
  await expect(expectNoLeak(() => loadBlocks(makeBlocks(budget, vector(4), broken), 'toy'))).rejects.toThrow('unreadable');
  const abort = new AbortController();
  const aborted = expectNoLeak(() =>
    loadBlocks(makeBlocks(budget, vector(4), vector(5)), 'toy', {
      abortSignal: abort.signal,
      onProgress: () => abort.abort(),
    }),
  );
  await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
  expect(budget.reservedBytes).toBe(0);
});

it('reads JSON files, and says which one is missing or broken', async () => {
  const files: Record<string, string> = { 'config.json': '{"a": 1}', 'broken.json': '{"a": ' };
  const checkpoint: Checkpoint = {
    name: 'models/toy',
    weights: { name: 'models/toy', names: [], get: () => undefined },
    readFile: async (name) => (files[name] === undefined ? undefined : new TextEncoder().encode(files[name])),
    dispose: () => undefined,
  };
  expect(await readCheckpointJson(checkpoint, 'config.json')).toEqual({ a: 1 });
  await expect(readCheckpointJson(checkpoint, 'vocab.json')).rejects.toThrowErrorMatchingInlineSnapshot(
    `[CheckpointError: models/toy/vocab.json is missing. Pass a model folder in the Hugging Face layout, with its vocab.json.]`,
  );
  await expect(readCheckpointJson(checkpoint, 'broken.json')).rejects.toThrow(
    /^models\/toy\/broken\.json is not JSON: .*Download the file again\.$/,
  );
  expect(await readCheckpointConfig(checkpoint, (json) => Object.keys(json as object))).toEqual(['a']);
  const refused = readCheckpointConfig(checkpoint, () => {
    throw new ConfigError('a is 1, expected 2.');
  });
  await expect(refused).rejects.toThrowErrorMatchingInlineSnapshot(`[ConfigError: models/toy/config.json: a is 1, expected 2.]`);
});
