import { expect, it } from 'vitest';
import { duration } from './duration.ts';

it.each([
  [0.2, '0 s'],
  [59.6, '1 min'],
  [310, '5 min 10 s'],
  [3600, '1 h'],
  [90_061, '1 d 1 h'],
  [Number.POSITIVE_INFINITY, '—'],
])('duration(%d) is %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
