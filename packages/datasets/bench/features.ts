/**
 * How fast features are written, read at random and read in order, from the system's file cache: rows of a small encoder (65×128) and
 * of ViT-g (257×1408), float16. Run: `node packages/datasets/bench/features.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '@blip2/core';
import { createFeatureStore, openFeatureStore } from '@blip2/datasets/node';

const TURNS = 5;

for (const [tokens, width, rows, batch] of [
  [65, 128, 20_000, 64],
  [257, 1408, 400, 16],
] as const) {
  const folder = mkdtempSync(join(tmpdir(), 'blip2-bench-'));
  try {
    const values = Float32Array.from({ length: tokens * width }, (_, index) => Math.sin(index));
    const writing = await measure(async () => {
      await using store = await createFeatureStore(folder, { tokens, width, dtype: 'F16', identity: 'bench' });
      for (let row = 0; row < rows; row++) await store.append(`${row}`, values);
    });
    using store = await openFeatureStore(folder);
    const random = seededRandom(1);
    const shuffled = store.keys.map((key) => [random(), key] as const).toSorted(([a], [b]) => a - b);
    const target = new Float32Array(batch * tokens * width);
    const atRandom = async (): Promise<void> => {
      for (let begin = 0; begin + batch <= rows; begin += batch) {
        await store.readInto(
          shuffled.slice(begin, begin + batch).map(([, key]) => key),
          target,
        );
      }
    };
    const inOrder = async (): Promise<void> => {
      for await (const { features } of store.stream({ rows: batch })) if (features.length === 0) throw new Error('no rows');
    };
    const figures = {
      write: writing,
      random: await best(atRandom),
      order: await best(inOrder),
      verify: await best(() => store.verify()),
    };
    const megabytes = (rows * tokens * width * 2) / 1e6;
    for (const [what, seconds] of Object.entries(figures)) {
      console.log(
        `${tokens}×${width} ${what}: ${Math.round(rows / seconds).toLocaleString('en')} rows/s, ${Math.round(megabytes / seconds)} MB/s`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
console.log(`peak resident memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);

/** The shortest of some turns: other work on the machine only ever adds to a time. */
async function best(work: () => Promise<unknown>): Promise<number> {
  const seconds: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) seconds.push(await measure(work));
  return Math.min(...seconds);
}

async function measure(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}
