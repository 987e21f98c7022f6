import { InputError, seededRandom } from '@blip2/core';

/**
 * One seed of several numbers, so that each epoch, row and draw has its own, wherever a run begins.
 *
 * @param numbers - Integers; all their 53 bits count.
 * @returns an integer in [0, 2³²).
 *
 * @example
 * const random = seededRandom(combineSeeds(seed, step));
 *
 * Source: the mixing of MurmurHash3 (32 bits).
 */
export function combineSeeds(...numbers: readonly number[]): number {
  let hash = numbers.length;
  for (const number of numbers) hash = mixIn(mixIn(hash, number | 0), Math.floor(number / 2 ** 32) | 0);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mixIn(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const mixed = hash ^ k;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/**
 * The numbers 0 … length - 1 in an order that the seed decides; all orders are equally likely.
 *
 * @param length - At most 2³² - 1.
 *
 * Source: Fisher and Yates, in Durstenfeld's form.
 */
export function permutation(length: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length }, (_, index) => index);
  const random = seededRandom(seed);
  for (let last = length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    const moved = order[last]!;
    order[last] = order[other]!;
    order[other] = moved;
  }
  return order;
}

/** @throws {InputError} when the seed is not an integer. */
export function assertSeed(seed: number, where: string): void {
  if (Number.isSafeInteger(seed)) return;
  throw new InputError(`${where}: seed is ${seed}, expected an integer. Pass one, and the same to repeat a run.`);
}
