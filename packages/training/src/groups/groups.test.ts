import { expect, it } from 'vitest';
import { decaysInLavis, layerwiseRates } from './groups.ts';

it.each<[path: string, shape: readonly number[], decays: boolean]>([
  ['temperature', [], true],
  ['queryTokens', [1, 32, 768], true],
  ['vision.embeddings.classToken', [1, 1408], true],
  ['vision.embeddings.positions', [257, 1408], true],
  ['layers.0.attention.query.weight', [768, 768], true],
  ['layers.0.attention.query.bias', [768], false],
  ['layers.0.attention.norm.weight', [768], false],
  ['relative.bias', [32, 12], false],
  ['bias', [2, 2], false],
  ['layers.0.unbiased', [2, 2], true],
])('%s %j decays: %s', (path, shape, decays) => {
  expect(decaysInLavis(path, shape)).toBe(decays);
});

it('layerwiseRates has the numbers of ViT-g', () => {
  const rate = layerwiseRates({ decay: 0.95, blocks: 39 });
  const rates = [
    'embeddings.positions',
    'embeddings.patch.weight',
    'blocks.0.attention.query.bias',
    'blocks.38.feedForwardIn.weight',
    'norm.weight',
  ].map((path) => Number(rate(`vision.${path}`, []).toFixed(4)));
  expect(rates).toEqual([0.1285, 0.1285, 0.1353, 0.95, 0.95]);
  expect(rate('imageNorm.weight', [])).toBe(1);
  expect(rate('queryTokens', [])).toBe(1);
  for (let block = 1; block < 39; block++) {
    expect(rate(`vision.blocks.${block - 1}.a`, []) / rate(`vision.blocks.${block}.a`, [])).toBeCloseTo(0.95, 12);
  }
});

it('a decay of 1 changes nothing', () => {
  const rate = layerwiseRates({ decay: 1, blocks: 2, prefix: '' });
  expect(['embeddings.a', 'blocks.1.a', 'b'].map((path) => rate(path, []))).toEqual([1, 1, 1]);
});

it('refuses what makes no factors', () => {
  expect(() => layerwiseRates({ decay: 0, blocks: 39 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: layerwiseRates: decay is 0, expected a number over 0, at most 1. Use 0.95 for ViT-g, 1 for none.]`,
  );
  expect(() => layerwiseRates({ decay: 0.9, blocks: 0.5 })).toThrowErrorMatchingInlineSnapshot(
    `[InputError: layerwiseRates: blocks is 0.5, expected a whole number of 1 or more. ViT-g has 39, CLIP ViT-L 23.]`,
  );
  expect(() => layerwiseRates({ decay: 0.9, blocks: 2 })('vision.blocks.2.a', [])).toThrowErrorMatchingInlineSnapshot(
    `[InputError: layerwiseRates: there is a parameter of block 2, expected 2 blocks. Pass the encoder's number of blocks.]`,
  );
});
