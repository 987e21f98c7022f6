import { describe, expect, it } from 'vitest';
import { seededRandom } from './random.ts';

/** sfc32 and splitmix32 as their authors write them, in 64-bit integers cut to 32 bits. */
function* reference(seed: number): Generator<number> {
  const u32 = (x: bigint): bigint => BigInt.asUintN(32, x);
  let state = u32(BigInt(seed));
  const splitMix = (): bigint => {
    state = u32(state + 0x9e3779b9n);
    let z = state;
    z = u32((z ^ (z >> 16n)) * 0x21f0aaadn);
    z = u32((z ^ (z >> 15n)) * 0x735a2d97n);
    return z ^ (z >> 15n);
  };
  let [a, b, c, counter] = [splitMix(), splitMix(), splitMix(), 1n];
  for (let step = 0; ; step++) {
    const output = u32(a + b + counter++);
    a = b ^ (b >> 9n);
    b = u32(c + (c << 3n));
    c = u32(u32((c << 21n) | (c >> 11n)) + output);
    if (step >= 12) yield Number(output) / 2 ** 32;
  }
}

const take = (random: () => number, count: number): number[] => Array.from({ length: count }, () => random());

describe('seededRandom', () => {
  it.each([0, 1, 42, -1, 2 ** 31, 0xffff_ffff])('follows the published generator from seed %i', (seed) => {
    const expected = reference(seed);
    expect(take(seededRandom(seed), 200)).toEqual(Array.from({ length: 200 }, () => expected.next().value));
  });

  it('gives known numbers', () => {
    expect(take(seededRandom(0), 3)).toMatchInlineSnapshot(`
      [
        0.6750985074322671,
        0.1792434190865606,
        0.051309420028701425,
      ]
    `);
    expect(take(seededRandom(42), 3)).toMatchInlineSnapshot(`
      [
        0.456255805445835,
        0.5641753580421209,
        0.5743777174502611,
      ]
    `);
  });

  it('counts the low 32 bits of the seed', () => {
    expect(take(seededRandom(2 ** 32 + 5), 3)).toEqual(take(seededRandom(5), 3));
    expect(take(seededRandom(5), 3)).not.toEqual(take(seededRandom(6), 3));
  });

  it('is uniform in [0, 1): χ² over 100 bins of 100,000 numbers, and no correlation of neighbours', () => {
    for (const seed of [0, 1, 12345]) {
      const numbers = take(seededRandom(seed), 100_000);
      const bins = Array.from({ length: 100 }, () => 0);
      for (const x of numbers) bins[Math.floor(x * 100)]!++;
      const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
      // 99 degrees of freedom: 99.99 % of all samples lie between 56 and 159.
      expect(chiSquare).toBeGreaterThan(56);
      expect(chiSquare).toBeLessThan(159);
      const correlation = numbers.slice(1).reduce((sum, x, i) => sum + 12 * (x - 0.5) * (numbers[i]! - 0.5), 0) / numbers.length;
      expect(Math.abs(correlation)).toBeLessThan(0.02);
    }
  });
});
