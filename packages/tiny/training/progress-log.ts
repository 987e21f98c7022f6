import type { TrainingLogger } from '@blip2/training';

/** A line on standard error for each record of a run. */
export function progressLog(name: string): TrainingLogger {
  const start = performance.now();
  return {
    log: ({ kind, step, values }) => {
      if (kind === 'training' && step % 50 !== 0) return;
      const numbers = Object.entries(values).map(([key, value]) => `${key} ${value.toPrecision(4)}`);
      console.error(`${name} ${step} ${numbers.join(' ')} ${((performance.now() - start) / 1000).toFixed(0)}s`);
    },
  };
}
