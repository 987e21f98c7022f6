import { duration } from '@blip2/core';
import type { TrainingProgress } from '../trainer/training-log.ts';

/**
 * Where a run stands, in a line: `step 1,200/250,000 (0.5 %)  21 h 35 min left  loss 4.213  contrast 1.900  rate 6.0e-5  3.200 steps/s  320.0 samples/s`.
 *
 * @param width - The line is cut to so many characters, its end first. @default unlimited
 */
export function progressText(progress: TrainingProgress, width: number = Number.POSITIVE_INFINITY): string {
  const { step, totalSteps, learningRate, loss, metrics, stepsPerSecond, samplesPerSecond, remainingSeconds, skippedSteps } =
    progress;
  const { leftOut, ...others } = metrics; // a count of images and records, which recipes report
  const losses = Object.entries({ loss, ...others }).map(([name, value]) => `${name} ${shortNumber(value)}`);
  const parts = [
    `step ${step.toLocaleString('en')}/${totalSteps.toLocaleString('en')} (${((100 * step) / Math.max(totalSteps, 1)).toFixed(1)} %)`,
    remainingSeconds === undefined || step === totalSteps ? undefined : `${duration(remainingSeconds)} left`,
    ...losses,
    `rate ${learningRate.toExponential(1)}`,
    stepsPerSecond === undefined ? undefined : `${shortNumber(stepsPerSecond)} steps/s`,
    samplesPerSecond === undefined ? undefined : `${shortNumber(samplesPerSecond)} samples/s`,
    leftOut === undefined ? undefined : `${leftOut} left out`,
    skippedSteps === 0 ? undefined : `${skippedSteps} skipped`,
  ].filter((part) => part !== undefined);
  const line = parts.join('  ');
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}

/** Four digits, or powers of ten where those would show nothing. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2);
  if (size >= 1000) return Math.round(value).toLocaleString('en');
  return value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(size))));
}
