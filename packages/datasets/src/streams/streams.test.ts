import { DatasetError } from '@blip2/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { indexedDataset } from '../records/indexed-dataset.ts';
import type { RowOrProblem } from '../records/record.ts';
import { streamDataset } from './indexed-stream.ts';
import { mixStreams } from './mix.ts';
import type { EpochOptions, RecordStream, StreamPosition } from './record-stream.ts';
import { combineSeeds, permutation } from './seeds.ts';
import { type RecordShard, streamShards } from './shard-stream.ts';

const numbers = (length: number, name = 'numbers') => indexedDataset(name, length, (index) => `${name} ${index}`);

/** Shards of the given lengths; rows whose number is in `broken` are errors. Each opening is noted. */
function shardsOf(lengths: readonly number[], broken: readonly number[] = [], opened: string[] = []): RecordShard<string>[] {
  return lengths.map((length, shard) => ({
    name: `shard ${shard}`,
    async *open(skip) {
      opened.push(`${shard}+${skip}`);
      for (let row = skip; row < length; row++) {
        const name = `${shard}:${row}`;
        yield (broken.includes(shard * 100 + row) ? new DatasetError(name, name) : name) as RowOrProblem<string>;
      }
    },
  }));
}

/** Up to `count` rows; broken ones as `broken <name>`. */
async function take(stream: RecordStream<string>, count: number): Promise<string[]> {
  const rows: string[] = [];
  while (rows.length < count) {
    const row = await stream.next().catch((error: unknown) => {
      if (DatasetError.isInstance(error)) return `broken ${error.message}`;
      throw error;
    });
    if (row === undefined) break;
    rows.push(row);
  }
  return rows;
}

const throughJson = (position: StreamPosition): StreamPosition => JSON.parse(JSON.stringify(position)) as StreamPosition;

const seed = fc.integer();
const rank = fc
  .integer({ min: 1, max: 3 })
  .chain((count) => fc.integer({ min: 0, max: count - 1 }).map((index) => ({ index, count })));
const epochs = fc.record<EpochOptions>({ seed, shuffle: fc.boolean(), epochs: fc.integer({ min: 1, max: 4 }), rank });
const makeIndexed = fc.tuple(fc.integer({ min: 1, max: 12 }), epochs).map(
  ([length, options]) =>
    () =>
      streamDataset(numbers(length, `set of ${length}`), options),
);
const makeSharded = fc
  .tuple(
    fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 5 }).filter((lengths) => lengths.some((one) => one > 0)),
    fc.array(fc.integer({ min: 0, max: 404 }), { maxLength: 30 }),
    fc.integer({ min: 1, max: 9 }),
    epochs,
  )
  .map(([lengths, broken, bufferRows, options]) => () => {
    return streamShards('shards', shardsOf(lengths, broken), { ...options, bufferRows });
  });
const makePlain = fc.oneof(makeIndexed, makeSharded);
const makeMixed = fc
  .tuple(fc.array(fc.tuple(makePlain, fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 4 }), seed)
  .map(([parts, seedOfMix]) => () => {
    return mixStreams(
      parts.map(([make, weight]) => ({ stream: make(), weight })),
      { seed: seedOfMix },
    );
  });
const makeStream = fc.oneof(makePlain, makeMixed);

describe('every stream', () => {
  it('goes on after a position as it would have gone on', async () => {
    await fc.assert(
      fc.asyncProperty(makeStream, fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }), async (make, cut, other) => {
        const stream = make();
        const all = await take(stream, 1000);
        const again = make();
        expect(await take(again, cut)).toEqual(all.slice(0, cut));
        const position = throughJson(again.position());
        expect(await take(again, 1000)).toEqual(all.slice(cut));

        const resumed = make();
        await resumed.seek(position);
        expect(throughJson(resumed.position())).toEqual(position);
        expect(await take(resumed, 1000)).toEqual(all.slice(cut));

        // Also one that was used before, and one that was closed.
        await take(stream, other);
        await stream.close();
        await stream.seek(position);
        expect(await take(stream, 1000)).toEqual(all.slice(cut));
      }),
      { numRuns: 400 },
    );
  });

  it('loses no row to an abort', async () => {
    await fc.assert(
      fc.asyncProperty(makeStream, fc.integer({ min: 0, max: 20 }), async (make, cut) => {
        const expected = await take(make(), 60);
        const stream = make();
        const before = await take(stream, cut);
        await expect(stream.next({ abortSignal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
        expect([...before, ...(await take(stream, 60 - before.length))]).toEqual(expected);
      }),
    );
  });

  it('is an async iterable', async () => {
    const rows: string[] = [];
    for await (const row of streamDataset(numbers(3), { shuffle: false, epochs: 2 })) rows.push(row);
    expect(rows).toEqual([0, 1, 2, 0, 1, 2].map((index) => `numbers ${index}`));
  });
});

describe('epochs', () => {
  it('give every row once, in ranks together', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 5 })
          .filter((lengths) => lengths.some((one) => one > 0)),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        seed,
        async (lengths, count, times, seedOfRun) => {
          const ranks = Array.from({ length: count }, (_, index) => ({ seed: seedOfRun, epochs: times, rank: { index, count } }));
          const length = lengths.reduce((sum, one) => sum + one, 0);
          const fromShards = await Promise.all(ranks.map((one) => take(streamShards('s', shardsOf(lengths), one), 1000)));
          const expected = lengths.flatMap((one, shard) => Array.from({ length: one }, (_, row) => `${shard}:${row}`));
          expect(fromShards.flat().toSorted()).toEqual(
            Array.from({ length: times }, () => expected)
              .flat()
              .toSorted(),
          );

          const fromRows = await Promise.all(ranks.map((one) => take(streamDataset(numbers(length), one), 1000)));
          const all = Array.from({ length: length * times }, (_, index) => `numbers ${index % length}`);
          expect(fromRows.flat().toSorted()).toEqual(all.toSorted());
          // One rank's rows lie between those of the others: together they are the sequence of a single process.
          const single = await take(streamDataset(numbers(length), { seed: seedOfRun, epochs: times }), 1000);
          expect(single).toEqual(
            Array.from({ length: length * times }, (_, row) => fromRows[row % count]![Math.floor(row / count)]),
          );
        },
      ),
    );
  });

  it('differ in order, and a seed decides it', async () => {
    const orderOf = (options: EpochOptions): Promise<string[]> => take(streamDataset(numbers(20), options), 40);
    const one = await orderOf({ seed: 1 });
    expect(one.slice(0, 20)).not.toEqual(one.slice(20));
    expect(await orderOf({ seed: 1 })).toEqual(one);
    expect(await orderOf({ seed: 2 })).not.toEqual(one);
  });

  it('can go on with another count of ranks', async () => {
    const single = await take(streamDataset(numbers(7)), 30);
    const two = [0, 1].map((index) => streamDataset(numbers(7), { rank: { index, count: 2 } }));
    for (const stream of two) await take(stream, 3);
    expect(two[0]!.position()).toEqual(two[1]!.position());
    const three = [0, 1, 2].map((index) => streamDataset(numbers(7), { rank: { index, count: 3 } }));
    const rows: string[][] = [];
    for (const stream of three) {
      await stream.seek(two[0]!.position());
      rows.push(await take(stream, 8));
    }
    expect(rows[0]!.flatMap((_, index) => rows.map((one) => one[index]))).toEqual(single.slice(6));
  });
});

describe('orders', () => {
  it('are permutations, all of them equally likely', () => {
    const counts = new Map<string, number>();
    for (let index = 0; index < 24_000; index++) {
      const order = permutation(4, combineSeeds(7, index)).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(24);
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquare).toBeLessThan(58); // 23 degrees of freedom: 99.99 % lie below
  });

  it('seeds of seeds do not repeat each other, beyond 32 bits too', () => {
    const seeds = new Set<number>();
    for (let epoch = 0; epoch < 30; epoch++) for (let row = 0; row < 30; row++) seeds.add(combineSeeds(epoch, row));
    for (let power = 0; power < 53; power++) seeds.add(combineSeeds(2 ** power));
    expect(seeds.size).toBe(953);
    expect(combineSeeds(1, 2)).not.toBe(combineSeeds(2, 1));
    expect(combineSeeds(-1)).not.toBe(combineSeeds(1));
  });

  it('of shards: a buffer takes rows of several', async () => {
    const rows = await take(streamShards('s', shardsOf([5, 5, 5, 5]), { bufferRows: 20, epochs: 1 }), 20);
    expect(new Set(rows.slice(0, 5).map((row) => row[0])).size).toBeGreaterThan(1);
  });
});

it('going on in shards reads what is before the buffer in one shard at most', async () => {
  const opened: string[] = [];
  const make = (): RecordStream<string> => streamShards('s', shardsOf([10, 10, 10], [], opened), { bufferRows: 4, seed: 3 });
  const stream = make();
  await take(stream, 14);
  const position = stream.position();
  await stream.close();
  opened.length = 0;
  const resumed = make();
  await resumed.seek(position);
  expect(opened).toEqual([]);
  await take(resumed, 2);
  expect(opened).toHaveLength(1);
  expect(opened[0]).toMatch(/^\d\+2$/);
});

it('a mixture draws with its weights', async () => {
  const mixture = mixStreams([
    { stream: streamDataset(numbers(10, 'a')), weight: 3 },
    { stream: streamDataset(numbers(10, 'b')), weight: 1 },
  ]);
  const rows = await take(mixture, 4000);
  const share = rows.filter((row) => row.startsWith('a')).length / rows.length;
  expect(Math.abs(share - 0.75)).toBeLessThan(0.03);
});

describe('what cannot be used is refused', () => {
  const stream = streamDataset(numbers(5), { seed: 1 });
  const messageOf = async (work: () => unknown): Promise<string> => {
    try {
      await work();
    } catch (error) {
      return String(error);
    }
    return 'nothing was refused';
  };

  it('options', async () => {
    const messages = await Promise.all(
      [
        () => streamDataset(numbers(0)),
        () => streamDataset(numbers(5), { seed: 0.5 }),
        () => streamDataset(numbers(5), { epochs: 0 }),
        () => streamDataset(numbers(5), { rank: { index: 2, count: 2 } }),
        () => streamShards('web', []),
        () => streamShards('web', shardsOf([1]), { bufferRows: 0 }),
        () => streamShards('web', shardsOf([0, 0])).next(),
        () => mixStreams([]),
        () => mixStreams([{ stream, weight: 0 }]),
        () => numbers(5).at(5),
      ].map(messageOf),
    );
    expect(messages).toMatchInlineSnapshot(`
      [
        "InputError: streamDataset: numbers has no rows, expected at least one. Check its file and the split.",
        "InputError: streamDataset: numbers: seed is 0.5, expected an integer. Pass one, and the same to repeat a run.",
        "InputError: streamDataset: numbers: epochs is 0, expected an integer of at least 1, or Infinity. Leave it out to repeat.",
        "InputError: streamDataset: numbers: rank is 2 of 2, expected an integer in [0, count). Count ranks from 0.",
        "InputError: streamShards: web: got no shards, expected at least one. Check their names.",
        "InputError: streamShards: web: bufferRows is 0, expected an integer of at least 1. Leave it out for 1000.",
        "InputError: web: found no row in 2 shards, expected some. Check that they are the files you mean: 'shard 0'.",
        "InputError: mixStreams: got no streams, expected at least one. Pass some.",
        "InputError: mixStreams: the weight of numbers is 0, expected a number above 0. Leave the stream out.",
        "InputError: numbers: asked for row 5, expected an integer in [0, 5). Check the index.",
      ]
    `);
  });

  it('positions', async () => {
    const mixture = mixStreams([{ stream, weight: 1 }]);
    const shards = streamShards('web', shardsOf([3]), { rank: { index: 0, count: 2 } });
    const messages = await Promise.all(
      [
        () => stream.seek(streamDataset(numbers(6), { seed: 1 }).position()),
        () => stream.seek({ ...stream.position(), rows: -1 }),
        () => stream.seek({ ...stream.position(), rows: 'x' }),
        () => stream.seek(null as unknown as StreamPosition),
        () => shards.seek(stream.position()),
        () => shards.seek({ ...shards.position(), shard: 1 }),
        () => mixture.seek({ ...mixture.position(), streams: [] }),
        () => mixture.seek({ ...mixture.position(), ended: 5 }),
      ].map(messageOf),
    );
    expect(messages).toMatchInlineSnapshot(`
      [
        "InputError: seek: numbers: the position's length is 6, expected 5. Make the stream with the data and options of the run that wrote the position, or begin anew.",
        "InputError: seek: numbers: the position's rows does not fit: expected 0 or more. Pass what position() gave, unchanged.",
        "InputError: seek: numbers: the position's rows does not fit: expected an integer. Pass what position() gave, unchanged.",
        "InputError: seek: numbers: the position's kind is undefined, expected "dataset". Make the stream with the data and options of the run that wrote the position, or begin anew.",
        "InputError: seek: web: the position's kind is "dataset", expected "shards". Make the stream with the data and options of the run that wrote the position, or begin anew.",
        "InputError: seek: web: the position's shard 1 with 0 rows taken is not one of rank 0 of 2. Pass what position() gave, unchanged.",
        "InputError: seek: numbers: the position has 0 streams, expected 1. Pass it unchanged.",
        "InputError: seek: numbers: the position's ended does not fit: expected a list. Pass what position() gave, unchanged.",
      ]
    `);
  });
});
