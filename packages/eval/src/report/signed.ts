/** A number with its sign, a true minus. */
export function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? '−' : '+'}${text}`;
}

/** A share in percent: `12.3 %`, `<0.1 %`. */
export function share(count: number, all: number): string {
  const percent = (100 * count) / all;
  if (count > 0 && percent < 0.1) return '<0.1 %';
  return `${percent.toFixed(1)} %`;
}
