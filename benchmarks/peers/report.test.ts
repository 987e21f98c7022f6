import { describe, expect, it } from 'vitest';
import type { ComparisonResult, SideResult } from './comparison.ts';
import { type Report, toJson, toMarkdown } from './report.ts';

const side = (name: string, samples: readonly number[], more: Partial<SideResult> = {}): SideResult => ({
  name,
  median: samples[0]!,
  samples,
  description: { runtime: 'Node 24.0.0', libraries: { 'onnxruntime-node': '1.30.0' }, threads: 2 },
  ...more,
});
const torch = { description: { runtime: 'Python 3.12.1', libraries: { torch: '2.13.0' }, threads: 2 } };

const results: ComparisonResult[] = [
  {
    name: 'vit-g-int8-b1',
    unit: 'ms',
    ours: side('blip2.js compiled int8', [812.4], { idleLoad: 0.8 }),
    peer: side('PyTorch bf16', [1640.2], { ...torch, foreignLoad: 1.25 }),
    ratio: 812.4 / 1640.2,
    targetRatio: 0.8,
    met: true,
    outputs: { oursAgainstReference: { largestRelativeDifference: 0.012, cosine: { min: 0.99912, mean: 0.9999512 } } },
  },
  {
    name: 'opt-2.7b-decode-b1',
    unit: 'ms per token',
    ours: side('blip2.js compiled int8', [81.26]),
    peer: side('PyTorch bf16', [9.514, 11], torch),
    ratio: 81.26 / 9.514,
    targetRatio: 0.6,
    met: false,
  },
  {
    name: 'qformer-train-step',
    unit: 'ms',
    ours: side('blip2.js compiled fp32', [12_345], { values: { contrast: 2.0795123 }, samplesPerSecond: 8000 / 12_345 }),
    peer: side('PyTorch fp32', [12_000], { ...torch, values: { contrast: 2.0795125, matching: 1 }, samplesPerSecond: 640 }),
    ratio: 12_345 / 12_000,
  },
  {
    name: 'memory-fp32',
    unit: 'bytes',
    ours: side('blip2.js compiled fp32', [5.12e9]),
    targetValue: 6.39e9,
    met: true,
  },
];

const report: Report = {
  machine: { processor: 'Some Processor', cores: 2, memoryBytes: 25.3e9, system: 'linux x64', node: '24.0.0' },
  date: new Date('2026-01-02T03:04:05Z'),
  results,
};

describe('toMarkdown', () => {
  it('is a machine, a table, and what else is known', () => {
    expect(toMarkdown(report)).toMatchInlineSnapshot(`
      "Some Processor, 2 cores, 25.30 GB of memory, linux x64; Node 24.0.0, onnxruntime-node 1.30.0, Python 3.12.1, torch 2.13.0; 2 threads; 2026-01-02. Medians; lower is better.

      | work | ours | peer | ratio | target | |
      | --- | --- | --- | --- | --- | --- |
      | vit-g-int8-b1 | blip2.js compiled int8: 812 ms | PyTorch bf16: 1640 ms | 0.495 | ≤ 0.8 | reached |
      | opt-2.7b-decode-b1 | blip2.js compiled int8: 81.3 ms a token | PyTorch bf16: 9.51 ms a token | 8.54 | ≤ 0.6 | missed |
      | qformer-train-step | blip2.js compiled fp32: 12.3 s, 0.648 samples/s | PyTorch fp32: 12.0 s, 640 samples/s | 1.03 | – |  |
      | memory-fp32 | blip2.js compiled fp32: 5.12 GB | – | – | ≤ 6.39 GB | reached |

      - vit-g-int8-b1, ours against reference: cosine of a row 0.9991 at least, 1 − 4.9e-5 on average; largest difference 1.2e-2 of the largest number.
      - vit-g-int8-b1: other programs used up to 1.3 cores; measure again on a quiet machine.
      - vit-g-int8-b1: blip2.js compiled int8 used up to 0.8 cores while the other ran.
      - qformer-train-step, contrast: ours 2.07951, peer 2.07951.
      "
    `);
  });
});

describe('toJson', () => {
  it('has an element for each comparison, with the machine', () => {
    const rows = JSON.parse(toJson(report)) as Record<string, unknown>[];
    expect(rows.map(({ name }) => name)).toEqual(results.map(({ name }) => name));
    expect(rows[0]).toMatchObject({
      ours: { median: 812.4 },
      peer: { name: 'PyTorch bf16', median: 1640.2 },
      ratio: 812.4 / 1640.2,
    });
    expect(rows[1]).toEqual({ ...results[1], machine: report.machine, date: '2026-01-02T03:04:05.000Z' });
  });
});
