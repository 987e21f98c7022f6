import { ConfigError } from '@blip2/core';
import { constantSchedule, lavisSchedule, type Schedule, warmupCosine } from '../../schedules/schedules.ts';
import type { CompleteRecipe } from '../complete-recipe.ts';

/** How long a run is. */
export interface RunLength {
  readonly totalSteps: number;
  /** Absent where nobody knows how many records there are. */
  readonly stepsPerEpoch: number | undefined;
}

/** Passes over the data where a recipe says neither steps nor epochs. Source: the paper's fine-tuning, all of whose tables say 5. */
const EPOCHS = 5;

/**
 * Steps of a run.
 *
 * @param rows - Of an epoch, where known.
 * @throws {ConfigError} when epochs are asked for and cannot be counted.
 */
export function runLength({ steps, epochs, batchSize, accumulate }: CompleteRecipe, rows: number | undefined): RunLength {
  const stepsPerEpoch = rows === undefined ? undefined : Math.max(1, Math.floor(rows / (batchSize * accumulate)));
  if (steps !== undefined) return { totalSteps: steps, stepsPerEpoch };
  if (stepsPerEpoch === undefined) {
    throw new ConfigError(
      "the number of records in the shards is not known, expected 'steps', or 'length' of each WebDataset to count epochs by.",
    );
  }
  return { totalSteps: (epochs ?? EPOCHS) * stepsPerEpoch, stepsPerEpoch };
}

/** The schedule of a recipe. @throws {ConfigError} when LAVIS's is asked for and epochs cannot be counted. */
export function scheduleOf(
  { recipe, schedule, epochs, steps }: CompleteRecipe,
  { totalSteps, stepsPerEpoch }: RunLength,
): Schedule {
  const { kind, peak, minimum, warmupStart } = schedule;
  if (kind === 'constant') return constantSchedule(peak);
  const most = recipe === 'stage1' || recipe === 'stage2' ? 2000 : 1000;
  const warmupSteps = Math.min(schedule.warmupSteps ?? Math.min(most, Math.floor(totalSteps / 10)), totalSteps);
  if (kind === 'cosine') return warmupCosine({ peak, minimum, warmupStart, warmupSteps, totalSteps });
  if (stepsPerEpoch === undefined)
    throw new ConfigError("schedule.kind is 'lavis', which goes by epochs, expected data whose length is known.");
  const count = steps === undefined ? (epochs ?? EPOCHS) : Math.max(1, Math.round(totalSteps / stepsPerEpoch));
  return lavisSchedule({ peak, minimum, warmupStart, warmupSteps, stepsPerEpoch, epochs: count });
}
