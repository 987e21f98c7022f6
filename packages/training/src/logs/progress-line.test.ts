import { describe, expect, it } from 'vitest';
import type { TrainingProgress } from '../trainer/training-log.ts';
import { progressLine } from './progress-line.ts';
import { progressText, shortNumber } from './progress-text.ts';

const progress: TrainingProgress = {
  step: 1200,
  totalSteps: 250_000,
  learningRate: 6e-5,
  loss: 4.2134,
  metrics: { contrast: 1.9, matching: 0.61234, captioning: 1.701 },
  stepsPerSecond: 3.2,
  samplesPerSecond: 320,
  remainingSeconds: 77_750,
  skippedSteps: 2,
};

/** The text that was written. */
function stream(
  isTTY: boolean,
  columns?: number,
): { readonly written: string[]; write(text: string): void; isTTY: boolean; columns?: number } {
  const written: string[] = [];
  return { written, write: (text) => void written.push(text), isTTY, columns };
}

it('progressText says all, and less where there is less', () => {
  expect(progressText(progress)).toMatchInlineSnapshot(
    `"step 1,200/250,000 (0.5 %)  21 h 35 min left  loss 4.213  contrast 1.900  matching 0.6123  captioning 1.701  rate 6.0e-5  3.200 steps/s  320.0 samples/s  2 skipped"`,
  );
  expect(progressText(progress, 60)).toMatchInlineSnapshot(`"step 1,200/250,000 (0.5 %)  21 h 35 min left  loss 4.213  c…"`);
  const first: TrainingProgress = { step: 1, totalSteps: 3, learningRate: 0, loss: Number.NaN, metrics: {}, skippedSteps: 0 };
  expect(progressText(first)).toMatchInlineSnapshot(`"step 1/3 (33.3 %)  loss NaN  rate 0.0e+0"`);
});

it.each([
  [0, '0'],
  [Number.NaN, 'NaN'],
  [0.00012345, '1.23e-4'],
  [0.05, '0.05000'],
  [0.61234, '0.6123'],
  [1, '1.000'],
  [12.345, '12.35'],
  [999.99, '1000.0'],
  [123_456, '123,456'],
  [-2_500_000, '-2.50e+6'],
])('shortNumber(%d) is %s', (value, text) => {
  expect(shortNumber(value)).toBe(text);
});

describe('progressLine', () => {
  it('writes over itself on a terminal and leaves the last line', () => {
    const terminal = stream(true, 40);
    const line = progressLine({ stream: terminal, everySeconds: 0 });
    for (const step of [1, 2]) void line.progress!({ ...progress, step });
    void line.close!('complete');
    const clear = '\r\u001B[2K';
    expect(terminal.written).toEqual([
      `${clear}step 1/250,000 (0.0 %)  21 h 35 min le…`,
      `${clear}step 2/250,000 (0.0 %)  21 h 35 min le…`,
      '\n',
    ]);
  });

  it('writes lines elsewhere, few of them, and the last', () => {
    const file = stream(false);
    const line = progressLine({ stream: file, everySeconds: 1000 });
    for (let step = 1; step <= 100; step++) void line.progress!({ ...progress, step });
    void line.close!('complete');
    expect(file.written.map((text) => text.slice(0, 16))).toEqual(['step 1/250,000 (', 'step 100/250,000']);
    expect(file.written.join('')).not.toContain('\u001B');
  });

  it('writes nothing when nothing happened', () => {
    const terminal = stream(true);
    void progressLine({ stream: terminal }).close!('failed');
    expect(terminal.written).toEqual([]);
  });
});
