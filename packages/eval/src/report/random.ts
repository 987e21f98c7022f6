import type { Random } from '@blip2/core/random';

/** A random order of a list (Fisher and Yates). */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/**
 * How many of `trials` succeed, each with the given probability; the time does not grow with the trials.
 *
 * @param trials - A whole number, 0 or more.
 * Source: W. Hörmann, The generation of binomial random variates (J. Stat. Comput. Simul. 46, 1993), algorithm BTRS; below 10 expected
 * successes, the inverse of the distribution, term by term.
 */
export function binomial(trials: number, probability: number, random: Random): number {
  if (trials === 0 || probability <= 0) return 0;
  if (probability >= 1) return trials;
  if (probability > 0.5) return trials - binomial(trials, 1 - probability, random);
  return trials * probability < 10 ? byInversion(trials, probability, random) : byRejection(trials, probability, random);
}

function byInversion(trials: number, probability: number, random: Random): number {
  const odds = probability / (1 - probability);
  let term = (1 - probability) ** trials; // at least e^-14: there are less than 10 expected successes
  let rest = random();
  let successes = 0;
  while (rest > term && successes < trials) {
    rest -= term;
    successes++;
    term *= (odds * (trials - successes + 1)) / successes;
  }
  return successes;
}

function byRejection(trials: number, probability: number, random: Random): number {
  const deviation = Math.sqrt(trials * probability * (1 - probability));
  const b = 1.15 + 2.53 * deviation;
  const a = -0.0873 + 0.0248 * b + 0.01 * probability;
  const center = trials * probability + 0.5;
  const alpha = (2.83 + 5.1 / b) * deviation;
  const odds = probability / (1 - probability);
  const mode = Math.floor((trials + 1) * probability);
  for (;;) {
    const u = random() - 0.5;
    const v = random();
    const distance = 0.5 - Math.abs(u);
    const successes = Math.floor(((2 * a) / distance + b) * u + center);
    if (distance >= 0.07 && v <= 0.92 - 4.2 / b) return successes;
    if (!(successes >= 0 && successes <= trials)) continue;
    const height = Math.log((v * alpha) / (a / (distance * distance) + b));
    const bound =
      (mode + 0.5) * Math.log((mode + 1) / (odds * (trials - mode + 1))) +
      (trials + 1) * Math.log((trials - mode + 1) / (trials - successes + 1)) +
      (successes + 0.5) * Math.log((odds * (trials - successes + 1)) / (successes + 1)) +
      stirlingTail(mode) +
      stirlingTail(trials - mode) -
      stirlingTail(successes) -
      stirlingTail(trials - successes);
    if (height <= bound) return successes;
  }
}

/** ln k! less Stirling's formula for it, for k = 0 to 9. */
const TAILS = [
  0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.020790672103765, 0.0166446911898211, 0.0138761288230707,
  0.0118967099458917, 0.010411265261972, 0.00925546218271273, 0.00833056343336287,
];

function stirlingTail(k: number): number {
  if (k < TAILS.length) return TAILS[k]!;
  const square = (k + 1) ** 2;
  return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1);
}
