/**
 * How fast a checkpoint is opened, read and written: a gigabyte of weights of ViT-g's size in the temporary folder, read from the
 * system's file cache. Run: `node packages/checkpoints/bench/read-weights.ts`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpointFolder, writeWeights } from '@blip2/checkpoints/node';

const SHAPE = [6144, 1408]; // one matrix of ViT-g's feed-forward layers
const VALUES = 6144 * 1408;
const GIGABYTE = 1e9;

const folder = mkdtempSync(join(tmpdir(), 'blip2-bench-'));
const values = Float32Array.from({ length: VALUES }, (_, index) => Math.sin(index) / 20);
try {
  for (const dtype of ['F16', 'BF16', 'F32'] as const) {
    const count = Math.round(GIGABYTE / VALUES / (dtype === 'F32' ? 4 : 2));
    const bytes = count * VALUES * (dtype === 'F32' ? 4 : 2);
    const tensors = Array.from({ length: count }, (_, index) => ({ name: `${index}`, shape: SHAPE, values }));
    const written = await measure(() => writeWeights(folder, tensors, { dtype, maxShardBytes: 4e8, overwrite: true }));
    const turns = [];
    for (let turn = 0; turn < 5; turn++) turns.push(await measure(readAll));
    const wall = Math.min(...turns.map((turn) => turn.wallSeconds));
    const processor = Math.min(...turns.map((turn) => turn.processorSeconds));
    const speed = (time: number): string => `${(bytes / GIGABYTE / time).toFixed(2)} GB/s`;
    console.log(
      `${dtype}: write and flush ${speed(written.wallSeconds)}; open and read ${speed(wall)} of file, ` +
        `${((1e9 * processor) / count / VALUES).toFixed(1)} ns of processor time a value (best of 5)`,
    );
  }
  console.log(`peak resident memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function readAll(): Promise<void> {
  const checkpoint = await openCheckpointFolder(folder);
  for (const name of checkpoint.weights.names) await checkpoint.weights.get(name)!.read();
  checkpoint.dispose();
}

/** Processor time says what the work costs also on a machine that has other things to do. */
async function measure(work: () => Promise<unknown>): Promise<{ wallSeconds: number; processorSeconds: number }> {
  const begin = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { wallSeconds: (performance.now() - begin) / 1000, processorSeconds: (user + system) / 1e6 };
}
