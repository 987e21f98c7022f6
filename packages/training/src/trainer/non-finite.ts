import { TrainingError } from '@blip2/core';
import type { StepReport } from './trainable-step.ts';

/** Whether a step may not count: its loss or its gradients are not finite, or it says itself that it changed nothing. */
export function isNotFinite({ loss, gradientNorm, skipped = false }: StepReport): boolean {
  return skipped || !Number.isFinite(loss) || !Number.isFinite(gradientNorm);
}

/**
 * The numbers of a report that are not finite, the loss's parts before the sum.
 * @returns such as `contrast NaN, loss NaN, gradientNorm NaN`.
 */
function culprits({ loss, gradientNorm, metrics }: StepReport): [name: string, value: number][] {
  return Object.entries({ ...metrics, loss, gradientNorm }).filter(([, value]) => !Number.isFinite(value));
}

/**
 * Fails where going on makes no sense: after too many steps in a row that were not finite, or when such a step has changed the
 * parameters, which are lost then.
 *
 * @param step - Counted from 1.
 * @param inARow - Such steps, this one included.
 * @param savedStep - Of the newest checkpoint; 0 where there is none.
 * @throws {TrainingError}
 */
export function assertGoesOn(step: number, report: StepReport, inARow: number, maxConsecutive: number, savedStep: number): void {
  const names = culprits(report);
  const found = names.length === 0 ? 'a gradient is not finite' : names.map(([name, value]) => `${name} is ${value}`).join(', ');
  const details = { step, names: names.map(([name]) => name) };
  const saved =
    savedStep === 0 ? 'there is no checkpoint from before' : `the newest checkpoint, of step ${savedStep}, is from before`;
  const cure = `Lower the learning rate, lengthen the warm-up or clip gradients; ${saved}.`;
  if (report.skipped !== true && !Number.isFinite(report.gradientNorm)) {
    throw new TrainingError(
      `train: step ${step}: ${found}, and the step did not skip it: its parameters are lost. ${cure} A step that sets 'skipped' keeps them.`,
      details,
    );
  }
  if (inARow > maxConsecutive) {
    const expected = maxConsecutive === 0 ? 'finite numbers at every step' : `at most ${maxConsecutive} such steps in a row`;
    throw new TrainingError(`train: step ${step}: ${found}; ${inARow} in a row, expected ${expected}. ${cure}`, details);
  }
}
