import { expect, it } from 'vitest';
import { areEnough, countedRounds, type Round } from './rounds.ts';

const quiet: Round = { times: [1, 2], foreignLoad: 0.05 };
const disturbed: Round = { times: [9, 9], foreignLoad: 0.8 };
const unknown: Round = { times: [1, 2] };
const plan = { least: 2, most: 4, seconds: 10, pauseMs: 0 };

it('counts quiet rounds, or all when there are too few of them', () => {
  expect(countedRounds([quiet, disturbed, unknown], plan)).toEqual([quiet, unknown]);
  expect(countedRounds([quiet, disturbed, disturbed], plan)).toEqual([quiet, disturbed, disturbed]);
});

it('stops after enough rounds, by number or by time', () => {
  expect(areEnough([quiet, quiet, quiet], plan, 9)).toBe(false);
  expect(areEnough([quiet, quiet, quiet, quiet], plan, 9)).toBe(true);
  expect(areEnough([quiet, quiet], plan, 11)).toBe(true);
  expect(areEnough([quiet], plan, 1000)).toBe(false);
});

it('waits longer for a quiet machine, but not for ever', () => {
  expect(areEnough([quiet, disturbed, disturbed], plan, 11)).toBe(false);
  expect(areEnough([quiet, disturbed, disturbed], plan, 31)).toBe(true);
  expect(areEnough([disturbed, disturbed, disturbed, disturbed, disturbed], plan, 11)).toBe(false);
});
