import type { TrainingRecord } from '../../trainer/training-log.ts';

/** A value at a step. */
export interface Point {
  readonly step: number;
  readonly value: number;
}

/** One number of the log over all steps. */
export interface Curve {
  readonly name: string;
  /** Only finite values. */
  readonly points: readonly Point[];
  /** Steps whose value was not finite. */
  readonly gaps: readonly number[];
}

/** The curves of one kind of record, in the order in which their names first come. */
export function curvesOf(records: readonly TrainingRecord[], kind: TrainingRecord['kind']): Map<string, Curve> {
  const curves = new Map<string, { name: string; points: Point[]; gaps: number[] }>();
  for (const { step, values } of records.filter((record) => record.kind === kind)) {
    for (const [name, value] of Object.entries(values)) {
      const curve = curves.get(name) ?? { name, points: [], gaps: [] };
      curves.set(name, curve);
      if (Number.isFinite(value)) curve.points.push({ step, value });
      else curve.gaps.push(step);
    }
  }
  return curves;
}

/**
 * Means over a window around each point. It is symmetric, smaller at both ends, so that a line stays the line it is and nothing lags.
 *
 * @param radius - Points on each side; 0 leaves all as they are.
 */
export function smoothed(points: readonly Point[], radius: number): Point[] {
  const sums = [0];
  for (const { value } of points) sums.push(sums.at(-1)! + value);
  return points.map(({ step }, index) => {
    const reach = Math.min(radius, index, points.length - 1 - index);
    return { step, value: (sums[index + reach + 1]! - sums[index - reach]!) / (2 * reach + 1) };
  });
}

/** At most about `limit` points that look the same: of each stretch of steps the first, the lowest, the highest and the last. */
export function thinned(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const size = Math.ceil((4 * points.length) / limit);
  const kept: Point[] = [];
  for (let begin = 0; begin < points.length; begin += size) {
    const stretch = points.slice(begin, begin + size);
    const lowest = stretch.reduce((one, other) => (other.value < one.value ? other : one));
    const highest = stretch.reduce((one, other) => (other.value > one.value ? other : one));
    const chosen = new Set([stretch[0]!, lowest, highest, stretch.at(-1)!]);
    kept.push(...stretch.filter((point) => chosen.has(point)));
  }
  return kept;
}

/** From where to where values go, with room; never empty. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** About `count` round numbers in a range: multiples of 1, 2 or 5 times a power of ten. */
export function linearTicks({ low, high }: Range, count: number): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Powers of ten in a range of positive numbers, with their doubles and fives when there are few. */
export function logTicks({ low, high }: Range, count: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const every = Math.max(1, Math.ceil((last - first) / count));
  const powers = Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, index) => first + index * every);
  const inRange = (factors: readonly number[]): number[] =>
    powers
      .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
      .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  const plain = inRange([1]);
  if (plain.length >= 3) return plain;
  const more = inRange([1, 2, 5]);
  return more.length >= 2 ? more : linearTicks({ low, high }, count);
}
