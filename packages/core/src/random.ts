/** A source of uniform numbers in [0, 1). Randomness is always an argument, never a global. */
export type Random = () => number;

/**
 * A seeded generator: the same seed gives the same numbers on every machine.
 *
 * @param seed - Any integer; its low 32 bits count.
 * Source: sfc32 of Chris Doty-Humphrey's PractRand, seeded through splitmix32 and run 12 steps in.
 */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const splitMix = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return z ^ (z >>> 15);
  };
  return sfc32([splitMix(), splitMix(), splitMix()], 12);
}

/**
 * The same generator, begun with 96 bits of the caller's: two streams that begin with different ones never are the same.
 *
 * @param state - Integers; their low 32 bits count.
 * @param runIn - How many numbers are left out first, so that the state is mixed.
 */
export function sfc32(state: readonly [a: number, b: number, c: number], runIn: number): Random {
  let [a, b, c] = [state[0] | 0, state[1] | 0, state[2] | 0];
  let counter = 1;
  const next: Random = () => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 0x1_0000_0000;
  };
  for (let index = 0; index < runIn; index++) next();
  return next;
}
