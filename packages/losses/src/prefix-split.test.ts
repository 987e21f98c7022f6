import { seededRandom } from '@blip2/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { splitPrefix } from './prefix-split.ts';

it('keeps all words, at most half of them in the prefix, at least one in each part where there are two', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(words, fc.integer(), (all, seed) => {
      const { prefix, target } = splitPrefix(` ${all.join('  ')} `, seededRandom(seed));
      expect([prefix, target].filter((part) => part !== '').join(' ')).toBe(all.join(' '));
      const count = prefix === '' ? 0 : prefix.split(' ').length;
      expect(count).toBeLessThanOrEqual(Math.floor(all.length / 2));
      expect(count).toBeGreaterThanOrEqual(all.length === 1 ? 0 : 1);
    }),
  );
});

it('splits everywhere it may, equally often', () => {
  const counts = new Map<string, number>();
  const random = seededRandom(5);
  for (let index = 0; index < 3000; index++) {
    const { prefix } = splitPrefix('one two three four five six seven', random);
    counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
  }
  expect([...counts.keys()].toSorted()).toEqual(['one', 'one two', 'one two three']);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(120);
});
