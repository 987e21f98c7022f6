import { z } from 'zod';
import type { TrainingRecord } from '../trainer/training-log.ts';

/** JSON has no words for these. */
const NOT_FINITE = ['NaN', 'Infinity', '-Infinity'] as const;

const line = z.object({
  kind: z.enum(['training', 'evaluation']),
  step: z.number().int().nonnegative(),
  timeMs: z.number(),
  values: z.record(z.string(), z.union([z.number(), z.enum(NOT_FINITE)])),
});

/** A record as a line of JSON, its end included. Numbers that are not finite become `"NaN"`, `"Infinity"` and `"-Infinity"`. */
export function encodeRecord({ kind, step, timeMs, values }: TrainingRecord): string {
  const written = Object.entries(values).map(([name, value]) => [name, Number.isFinite(value) ? value : String(value)]);
  return `${JSON.stringify({ kind, step, timeMs, values: Object.fromEntries(written) })}\n`;
}

/** What a line says; `undefined` for one that is broken, as the last one of a process that was killed may be. */
export function decodeRecord(text: string): TrainingRecord | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  const checked = line.safeParse(parsed);
  if (!checked.success) return undefined;
  const values = Object.entries(checked.data.values).map(([name, value]) => [name, Number(value)] as const);
  return { ...checked.data, values: Object.fromEntries(values) };
}
