import { InputError } from '@blip2/core';

/** The learning rate of a step. Steps count from 0: `schedule(0)` is the rate of the first one. */
export type Schedule = (step: number) => number;

/** Options of {@link warmupCosine}. */
export interface WarmupCosineOptions {
  /** The largest rate, reached when the warm-up ends. */
  readonly peak: number;
  /** All steps of the run, the warm-up included. */
  readonly totalSteps: number;
  /** The rate after the last step. @default 0 */
  readonly minimum?: number;
  /** Steps in which the rate rises. @default 0 */
  readonly warmupSteps?: number;
  /** The rate of the first step of the warm-up. @default 0 */
  readonly warmupStart?: number;
}

/**
 * A rate that rises in a line to its peak, and falls from there in half a wave of the cosine, by step.
 *
 * @returns a pure function; beyond the last step it stays at the minimum.
 * @throws {InputError} for numbers that make no schedule.
 *
 * @example
 * // Stage 1 of the paper.
 * const schedule = warmupCosine({ peak: 1e-4, minimum: 1e-5, warmupSteps: 2000, totalSteps: 250_000 });
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.4: cosine decay with a linear warm-up of 2k steps; SGDR (arXiv 1608.03983), equation 5.
 */
export function warmupCosine({ peak, totalSteps, minimum = 0, warmupSteps = 0, warmupStart = 0 }: WarmupCosineOptions): Schedule {
  assertRates('warmupCosine', { peak, minimum, warmupStart });
  assertCounts('warmupCosine', { totalSteps, warmupSteps });
  if (warmupSteps > totalSteps) {
    throw new InputError(
      `warmupCosine: the warm-up takes ${warmupSteps} of ${totalSteps} steps, expected no more than all. Shorten it, or train longer.`,
    );
  }
  return (step) => {
    if (step < warmupSteps) return warmupStart + ((peak - warmupStart) * step) / warmupSteps;
    if (step >= totalSteps) return minimum;
    return halfCosine(peak, minimum, (step - warmupSteps) / (totalSteps - warmupSteps));
  };
}

/** Options of {@link lavisSchedule}, by the names of LAVIS's files in brackets. */
export interface LavisScheduleOptions {
  /** The largest rate (`init_lr`). */
  readonly peak: number;
  /** What the cosine falls to (`min_lr`); the last epoch stays above it. @default 0 */
  readonly minimum?: number;
  /** The rate of the first step (`warmup_lr`). @default 0 */
  readonly warmupStart?: number;
  /** Steps in which the rate rises (`warmup_steps`); what does not fit into the first epoch is left out. @default 0 */
  readonly warmupSteps?: number;
  readonly stepsPerEpoch: number;
  /** Of the run (`max_epoch`). */
  readonly epochs: number;
}

/**
 * The schedule of LAVIS: during the first epoch the rate rises by step and stays at its peak; every later epoch has one rate,
 * on half a wave of the cosine over all epochs. It jumps from epoch to epoch, and never reaches its minimum.
 *
 * @returns a pure function; beyond the last epoch it stays at the minimum.
 * @throws {InputError} for numbers that make no schedule.
 *
 * @example
 * // Fine-tuning for COCO captions.
 * const schedule = lavisSchedule({ peak: 1e-5, warmupStart: 1e-8, warmupSteps: 1000, stepsPerEpoch: 2215, epochs: 5 });
 *
 * Source: LAVIS `common/optims.py`, `LinearWarmupCosineLRScheduler`.
 */
export function lavisSchedule({
  peak,
  minimum = 0,
  warmupStart = 0,
  warmupSteps = 0,
  stepsPerEpoch,
  epochs,
}: LavisScheduleOptions): Schedule {
  assertRates('lavisSchedule', { peak, minimum, warmupStart });
  assertCounts('lavisSchedule', { warmupSteps, stepsPerEpoch, epochs });
  if (stepsPerEpoch === 0) {
    throw new InputError('lavisSchedule: stepsPerEpoch is 0, expected 1 or more. Divide the number of records by the batch.');
  }
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch);
    if (epoch === 0) return Math.min(peak, warmupStart + ((peak - warmupStart) * step) / Math.max(warmupSteps, 1));
    return epoch >= epochs ? minimum : halfCosine(peak, minimum, epoch / epochs);
  };
}

/** The same rate at every step. */
export function constantSchedule(rate: number): Schedule {
  assertRates('constantSchedule', { rate });
  return () => rate;
}

/** From `peak` at 0 to `minimum` at 1. */
function halfCosine(peak: number, minimum: number, progress: number): number {
  return minimum + 0.5 * (peak - minimum) * (1 + Math.cos(Math.PI * progress));
}

function assertRates(where: string, rates: Readonly<Record<string, number>>): void {
  for (const [name, rate] of Object.entries(rates)) {
    if (Number.isFinite(rate) && rate >= 0) continue;
    throw new InputError(`${where}: ${name} is ${rate}, expected a learning rate: a number of 0 or more, such as 1e-4.`);
  }
}

function assertCounts(where: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    if (Number.isInteger(count) && count >= 0) continue;
    throw new InputError(`${where}: ${name} is ${count}, expected a whole number of 0 or more. Round it.`);
  }
}
