import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { TINY_MODELS } from '@blip2/tiny';
import { expect, it } from 'vitest';
import { DEFAULT_MODEL, loadBlip2, modelSource } from './node.ts';

it('finds the models that come along by their names', () => {
  const folders = TINY_MODELS.map((kind) => modelSource(`@blip2/tiny/${kind}`));
  expect(new Set(folders).size).toBe(TINY_MODELS.length);
  for (const folder of folders) expect(existsSync(join(folder, 'model.safetensors'))).toBe(true);
  expect(folders).toContain(modelSource(DEFAULT_MODEL));
});

it('leaves other sources as they are', () => {
  for (const name of ['./models/one', 'Salesforce/blip2-opt-2.7b', '@blip2/tiny/t6', 'tiny'])
    expect(modelSource(name)).toBe(name);
});

it('loads one by its name', async () => {
  using model = await loadBlip2('@blip2/tiny/t5');
  expect(model.languageModel?.architecture).toBe('encoder-decoder');
});
