import { seededRandom } from '@blip2/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrainingRecord } from '../../trainer/training-log.ts';
import { curvesOf, linearTicks, logTicks, type Point, smoothed, thinned } from './curves.ts';
import { trainingReport } from './training-report.ts';

const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 300 });
const toPoints = (numbers: readonly number[]): Point[] => numbers.map((value, step) => ({ step, value }));

describe('smoothed', () => {
  it('is the mean over a window, by a slow version', () => {
    fc.assert(
      fc.property(values, fc.nat(20), (numbers, radius) => {
        const fast = smoothed(toPoints(numbers), radius);
        for (const [index, { value }] of fast.entries()) {
          const reach = Math.min(radius, index, numbers.length - 1 - index);
          const window = numbers.slice(index - reach, index + reach + 1);
          expect(value).toBeCloseTo(window.reduce((sum, one) => sum + one, 0) / window.length, 5);
        }
      }),
    );
  });

  it('leaves a line a line', () => {
    const line = toPoints(Array.from({ length: 50 }, (_, index) => 3 * index - 7));
    for (const [index, { value }] of smoothed(line, 8).entries()) expect(value).toBeCloseTo(line[index]!.value, 10);
  });
});

it('thinned keeps the ends, the lowest and the highest, in order', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 8, max: 400 }), (numbers, limit) => {
      const points = toPoints(numbers);
      const kept = thinned(points, limit);
      expect(kept.length).toBeLessThanOrEqual(Math.max(limit + 4, 0));
      expect(kept.map(({ step }) => step)).toEqual(kept.map(({ step }) => step).toSorted((a, b) => a - b));
      for (const choose of [Math.min, Math.max]) {
        expect(choose(...kept.map(({ value }) => value))).toBe(choose(...numbers));
      }
      expect([kept[0], kept.at(-1)]).toEqual([points[0], points.at(-1)]);
    }),
  );
});

describe('ticks', () => {
  it('are round numbers in the range', () => {
    expect(linearTicks({ low: 0, high: 20_000 }, 5)).toEqual([0, 5000, 10_000, 15_000, 20_000]);
    expect(linearTicks({ low: 0.22, high: 0.61 }, 5)).toEqual([0.3, 0.4, 0.5, 0.6]);
    expect(linearTicks({ low: -3, high: 4 }, 5)).toEqual([-2, 0, 2, 4]);
    expect(logTicks({ low: 1e-8, high: 1e-3 }, 6)).toEqual([1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3]);
    expect(logTicks({ low: 0.9, high: 21 }, 6)).toEqual([1, 2, 5, 10, 20]);
    expect(logTicks({ low: 0.31, high: 0.33 }, 4)).toEqual([0.31, 0.315, 0.32, 0.325, 0.33]);
    expect(logTicks({ low: 1e-30, high: 1e6 }, 6)).toEqual([1e-30, 1e-24, 1e-18, 1e-12, 1e-6, 1, 1e6]);
  });

  it('are never none and never many', () => {
    const numbers = fc.tuple(fc.double({ min: 1e-12, max: 1e12, noNaN: true }), fc.double({ min: 1.01, max: 1e9, noNaN: true }));
    fc.assert(
      fc.property(numbers, ([low, factor]) => {
        for (const ticks of [linearTicks({ low, high: low * factor }, 5), logTicks({ low, high: low * factor }, 6)]) {
          expect(ticks.length).toBeGreaterThan(1);
          expect(ticks.length).toBeLessThan(12);
        }
      }),
    );
  });
});

/** A run as it might be. */
function records(count: number): TrainingRecord[] {
  const random = seededRandom(3);
  return Array.from({ length: count }, (_, index): TrainingRecord[] => {
    const step = 10 * (index + 1);
    const loss = index === 7 ? Number.NaN : 4 / (1 + index / 20) + 0.2 * random();
    const training: TrainingRecord = {
      kind: 'training',
      step,
      timeMs: 1e12 + 100 * step,
      values: { loss, gradientNorm: 2 * loss, offset: random() - 0.5 },
    };
    const evaluation: TrainingRecord = {
      kind: 'evaluation',
      step,
      timeMs: 1e12 + 100 * step,
      values: { loss: 4 / (1 + index / 20), cider: index },
    };
    return index % 10 === 9 ? [training, evaluation] : [training];
  }).flat();
}

it('curves are apart by kind, and numbers that are not finite are gaps', () => {
  const curves = curvesOf(records(10), 'training');
  expect([...curves.keys()]).toEqual(['loss', 'gradientNorm', 'offset']);
  expect(curves.get('loss')!.gaps).toEqual([80]);
  expect(curves.get('loss')!.points).toHaveLength(9);
  expect(curvesOf(records(10), 'evaluation').get('cider')).toEqual({
    name: 'cider',
    points: [{ step: 100, value: 9 }],
    gaps: [],
  });
});

/** Every tag that is opened is closed, in order. */
function assertBalanced(html: string): void {
  const open: string[] = [];
  const empty = new Set(['meta', 'input', 'br']);
  const text = html.replace(/<(style|script)>[^]*?<\/\1>/g, '').replace('<!doctype html>', '');
  for (const [tag, close, name, rest] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (close) expect(open.pop(), `before ${tag}`).toBe(name);
    else if (!empty.has(name!) && !rest!.endsWith('/')) open.push(name!);
  }
  expect(open).toEqual([]);
}

describe('trainingReport', () => {
  const page = trainingReport(records(200), {
    title: 'Stage <1> & "co"',
    facts: { recipe: '<script>', seed: 1 },
    samplesPerStep: 16,
  });

  it('is whole and needs nothing from elsewhere', () => {
    assertBalanced(page);
    expect(page).not.toMatch(/https?:|\bsrc=|\bhref=|url\(|@import|\bimport\b/);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
    expect(page).not.toMatch(/<script>(?!\nfor)/);
    expect(page).toContain('<h1>Stage &lt;1&gt; &amp; &quot;co&quot;</h1>');
  });

  it('has a chart for each number, the quiet ones last, in lines, words and a table', () => {
    expect([...page.matchAll(/<h3>(\w+)<\/h3>/g)].map(([, name]) => name)).toEqual(['loss', 'offset', 'cider', 'gradientNorm']);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of page.matchAll(/aria-(?:labelledby|describedby)="([^"]+)"/g)) expect(ids).toContain(id);
    expect(/id="chart-0-words">([^<]*)</.exec(page)![1]).toMatchInlineSnapshot(
      `"Training: 4.050 at step 10, 0.3926 at step 2,000; lowest 0.3873 at step 1,990, highest 4.050 at step 10. 1 of its values were not finite. Evaluation: 2.759 at step 100, 0.3653 at step 2,000; lowest 0.3653 at step 2,000, highest 2.759 at step 100."`,
    );
    expect(page.match(/<details>/g)).toHaveLength(4);
  });

  it('says how the run went', () => {
    const tiles = [...page.matchAll(/<dt>([^<]*)<\/dt><dd>([^<]*)<\/dd>/g)].map(([, name, value]) => `${name}: ${value}`);
    expect(tiles).toMatchInlineSnapshot(`
      [
        "steps: 2,000",
        "last loss: 0.3926",
        "last loss, evaluation: 0.3653",
        "last cider, evaluation: 199.0",
        "steps per second: 10.00",
        "samples per second: 160.0",
        "steps not finite: 1",
      ]
    `);
    expect(/<header>.*<\/header>/.exec(page)![0]).toContain('Complete, 2001-09-09 01:46 UTC to 2001-09-09 01:50 UTC, 3 min 19 s');
    expect(trainingReport(records(2), { outcome: 'failed' })).toContain('Ended by an error');
  });

  it('is the same for the same log', () => {
    expect(trainingReport(records(50))).toBe(trainingReport(records(50)));
  });

  it('stays small for a long log', () => {
    expect(trainingReport(records(20_000)).length).toBeLessThan(400_000);
  });

  it.each([
    ['nothing', []],
    ['one record', records(1)],
    ['two records', records(2)],
    ['numbers below 0', [{ kind: 'training', step: 1, timeMs: 0, values: { loss: -1 } } satisfies TrainingRecord]],
    ['zeros', records(3).map((record) => ({ ...record, values: { loss: 0 } }))],
    ['nothing finite', records(3).map((record) => ({ ...record, values: { loss: Number.NaN } }))],
    ['the same number', records(3).map((record) => ({ ...record, values: { loss: 5 } }))],
    ['huge and tiny numbers', records(4).map((record) => ({ ...record, values: { loss: 10 ** (80 * record.step - 2300) } }))],
    ['an evaluation alone', records(10).filter(({ kind }) => kind === 'evaluation')],
  ])('takes a log with %s', (_, some) => {
    const html = trainingReport(some as TrainingRecord[]);
    assertBalanced(html);
    expect(html).not.toMatch(/[ML"][^"<>]*(NaN|Infinity)[^"<>]*"/);
  });
});
