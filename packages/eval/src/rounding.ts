/**
 * A score as the Python tools print it: rounded to the nearest, and to the even digit in the middle. JavaScript's `toFixed` differs there alone.
 *
 * @param digits - After the point. @default 2
 *
 * @example
 * roundLikePython(0.125); // 0.12
 *
 * Source: Python 3 `round`, which looks at the exact binary value.
 */
export function roundLikePython(value: number, digits = 2): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 1e21) return value;
  // oxlint-disable-next-line oxc/number-arg-out-of-range -- the limit is 100 since ECMAScript 2018
  const exact = Math.abs(value).toFixed(100); // all digits of any score that ends within 100
  const cut = exact.indexOf('.') + 1 + digits;
  const isMiddle = /^50*$/.test(exact.slice(cut));
  const rounded = Math.abs(value).toFixed(digits);
  const isOdd = /[13579]$/.test(rounded);
  const magnitude = isMiddle && isOdd ? Number(exact.slice(0, cut)) : Number(rounded);
  return value < 0 ? -magnitude : magnitude;
}
