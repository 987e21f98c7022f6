import { type AxisSpec, evaluateAxis, parseAxis, type Random, seededRandom, sizeOf } from '@blip2/core';
import type { TracedType } from '../../trace-backend.ts';

/** A function under test: from named tensors to a tree of tensors. */
export type Compute = (inputs: never) => unknown;

/** A tensor of plain values. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly dtype: TracedType;
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** An input of any size: its axes are numbers, names and sums of both, as in an `AxisSpec`. */
export interface InputSpec {
  readonly axes: readonly AxisSpec[];
  readonly dtype: TracedType;
  readonly values: Values;
}

/** Gives one value after another; `sizes` are those of the named axes. */
export type Values = (random: Random, sizes: ReadonlyMap<string, number>) => number;

/** Between −3 and 3, all different. */
export const ordinary: Values = (random) => 6 * random() - 3;

/** Between `low` and `high`. */
export const between =
  (low: number, high: number): Values =>
  (random) =>
    low + (high - low) * random();

/** Ordinary values among those where functions go wrong: not a number, infinities, zeros, halves, large and tiny numbers. */
export const special: Values = (random) => {
  const pick = Math.floor(random() * 24);
  const values = [Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, 1.5, 2.5, -0.5, -1.5, 1e30, -1e30, 1e-30, 89, -89, 1e-4];
  return values[pick] ?? ordinary(random, new Map());
};

/** Whole numbers from `low` to `high`, both included; a name stands for the size of that axis less one. */
export const whole =
  (low: number, high: number | string): Values =>
  (random, sizes) =>
    low + Math.floor(random() * ((typeof high === 'number' ? high : sizes.get(high)! - 1) - low + 1));

/** True or false. */
export const either: Values = (random) => Math.round(random());

export const floats = (axes: readonly AxisSpec[], values: Values = ordinary): InputSpec => ({ axes, dtype: 'float32', values });
export const ints = (axes: readonly AxisSpec[], values: Values = whole(-5, 5)): InputSpec => ({ axes, dtype: 'int32', values });
export const bools = (axes: readonly AxisSpec[]): InputSpec => ({ axes, dtype: 'bool', values: either });

/** Names that occur in the axes of inputs. */
export function namesOf(specs: Readonly<Record<string, InputSpec>>): string[] {
  const terms = Object.values(specs).flatMap(({ axes }) => axes.flatMap(parseAxis));
  return [...new Set(terms.flatMap(({ names }) => names))];
}

/** Values for inputs at given sizes. */
export function hostInputs(
  specs: Readonly<Record<string, InputSpec>>,
  sizes: ReadonlyMap<string, number>,
  seed: number,
): Record<string, HostTensor> {
  const random = seededRandom(seed);
  const entries = Object.entries(specs).map(([name, { axes, dtype, values }]) => {
    const shape = axes.map((axis) => evaluateAxis(parseAxis(axis), sizes));
    const numbers = Array.from({ length: sizeOf(shape) }, () => values(random, sizes));
    return [name, { shape, dtype, data: arrayOf(dtype, numbers) }] as const;
  });
  return Object.fromEntries(entries);
}

function arrayOf(dtype: TracedType, numbers: readonly number[]): HostTensor['data'] {
  if (dtype === 'float32') return Float32Array.from(numbers);
  return dtype === 'int32' ? Int32Array.from(numbers) : Uint8Array.from(numbers);
}
