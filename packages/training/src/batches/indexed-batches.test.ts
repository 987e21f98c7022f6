import fc from 'fast-check';
import { expect, it } from 'vitest';
import { indexedBatches } from './indexed-batches.ts';

interface Seen {
  readonly rows: readonly number[];
  readonly draw: number;
}

const source = (length: number, batchSize: number, seed: number) =>
  indexedBatches<Seen>({ length, batchSize, seed, make: (rows, random) => ({ rows, draw: random() }) });

it('shows each record at most once an epoch, as many as fill batches, in an order of its own each epoch', async () => {
  const batches = source(10, 3, 5);
  const epochs = [];
  for (let epoch = 0; epoch < 2; epoch++) {
    const rows = [];
    for (let batch = 0; batch < 3; batch++) rows.push(...(await batches.next({})).rows);
    expect(new Set(rows).size).toBe(9);
    epochs.push(rows);
  }
  expect(epochs[0]).not.toEqual(epochs[1]);
});

it('goes on from a position as if it had never stopped', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 4, max: 40 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer(),
      fc.integer({ min: 0, max: 30 }),
      async (length, size, seed, at) => {
        const [whole, resumed] = [source(length, size, seed), source(length, size, seed)];
        for (let index = 0; index < at; index++) await whole.next({});
        await resumed.seek(JSON.parse(JSON.stringify(whole.position())));
        for (let index = 0; index < 5; index++) expect(await resumed.next({})).toEqual(await whole.next({}));
      },
    ),
    { numRuns: 50 },
  );
});

it('draws numbers that differ from batch to batch and from seed to seed', async () => {
  const draws = [];
  for (const seed of [0, 1, 2, 3]) {
    const batches = source(4, 2, seed);
    for (let index = 0; index < 50; index++) draws.push((await batches.next({})).draw);
  }
  expect(new Set(draws).size).toBe(200);
});

it('refuses what is no data set, and positions that are none', () => {
  expect(() => source(2, 3, 0)).toThrowErrorMatchingInlineSnapshot(
    `[InputError: indexedBatches: got 2 records for batches of 3, expected at least one batch. Use smaller batches, or more records.]`,
  );
  expect(() => source(3, 3, 0).seek('a')).toThrowErrorMatchingInlineSnapshot(
    `[InputError: indexedBatches: the position is "a", expected the number of batches that were taken. Resume with the data of the same run.]`,
  );
});
