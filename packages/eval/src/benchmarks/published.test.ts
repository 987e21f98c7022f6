import { expect, it } from 'vitest';
import { BENCHMARKS } from './benchmark-run.ts';
import { publishedResults } from './published.ts';

it('has the rows of the tables', () => {
  const counts = BENCHMARKS.map((benchmark) => {
    const sections = Map.groupBy(
      publishedResults[benchmark],
      ({ protocol, split, source }) => `${protocol}, ${split}: ${source}`,
    );
    return [benchmark, Object.fromEntries([...sections].map(([name, rows]) => [name, rows.length]))];
  });
  expect(Object.fromEntries(counts)).toMatchInlineSnapshot(`
    {
      "coco-caption": {
        "fine-tuned, Karpathy test: BLIP-2, table 3": 9,
        "fine-tuned, Karpathy test: LAVIS, comments of its configurations": 2,
      },
      "coco-retrieval": {
        "fine-tuned, Karpathy test, 5,000 images: BLIP-2, table 5": 11,
        "fine-tuned, Karpathy test, 5,000 images: BLIP-2, table 6": 1,
      },
      "flickr30k": {
        "zero-shot, test, 1,000 images: BLIP-2, table 5": 10,
      },
      "gqa": {
        "zero-shot, test-dev: BLIP-2, table 2": 8,
        "zero-shot, test-dev: LAVIS, comments of its configurations": 1,
      },
      "nocaps": {
        "zero-shot, val: BLIP-2, table 3": 7,
      },
      "vqav2": {
        "fine-tuned, test-dev: BLIP-2, table 4": 11,
        "fine-tuned, test-std: BLIP-2, table 4": 11,
        "zero-shot, test-dev: BLIP-2, table 2": 10,
        "zero-shot, val: BLIP-2, table 2": 10,
        "zero-shot, val: LAVIS, comments of its configurations": 2,
      },
    }
  `);
});

it('has numbers of the paper', () => {
  const find = (benchmark: keyof typeof publishedResults, model: string, source: string) =>
    publishedResults[benchmark]
      .filter((row) => row.model === model && row.source.endsWith(source))
      .map(({ split, scores }) => [split, scores]);
  expect(find('vqav2', 'BLIP-2 ViT-g FlanT5-XXL', 'table 2')).toEqual([
    ['val', { overall: 65.2 }],
    ['test-dev', { overall: 65 }],
  ]);
  expect(find('vqav2', 'BLIP-2 ViT-g OPT-6.7B', 'table 4')).toEqual([
    ['test-dev', { overall: 82.19 }],
    ['test-std', { overall: 82.3 }],
  ]);
  expect(find('gqa', 'BLIP-2 ViT-L FlanT5-XL', 'table 2')).toEqual([['test-dev', { accuracy: 44.4 }]]);
  expect(find('nocaps', 'SimVLM', 'table 3')).toEqual([
    ['val', { 'in-domain CIDEr': 113.7, 'near-domain CIDEr': 110.9, 'out-domain CIDEr': 115.2, 'entire CIDEr': 112.2 }],
  ]);
  expect(find('coco-caption', 'BLIP-2 ViT-g OPT-2.7B', 'table 3')).toEqual([['Karpathy test', { Bleu_4: 43.7, CIDEr: 145.8 }]]);
  expect(find('flickr30k', 'Florence', 'table 5')).toEqual([
    ['test, 1,000 images', { txt_r1: 90.9, txt_r5: 99.1, img_r1: 76.7, img_r5: 93.6 }],
  ]);
  expect(find('coco-retrieval', 'BLIP-2 ViT-g', 'table 5')).toEqual([
    ['Karpathy test, 5,000 images', { txt_r1: 85.4, txt_r5: 97, txt_r10: 98.5, img_r1: 68.3, img_r5: 87.7, img_r10: 92.6 }],
  ]);
});

it('has numbers in the units of papers, and each row once', () => {
  for (const rows of Object.values(publishedResults)) {
    for (const { scores } of rows) {
      for (const score of Object.values(scores)) expect(score > 1 && score <= 150).toBe(true);
    }
    const keys = rows.map(({ model, split, protocol, source }) => [model, split, protocol, source].join());
    expect(new Set(keys).size).toBe(keys.length);
  }
});
