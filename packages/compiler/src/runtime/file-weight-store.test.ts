import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, realpath, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { quantizeBlocks } from '@blip2/checkpoints';
import {
  checkpointFromFiles,
  openCheckpointFolder,
  openSafetensorsFile,
  writeSafetensorsFile,
  writeWeights,
} from '@blip2/checkpoints/node';
import { type Progress, reshapeWeight, type Weight, weightFromValues } from '@blip2/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OnnxInitializer } from '../onnx/graph.ts';
import { convertWeight } from '../weights/convert-weight.ts';
import type { WeightForm, WeightRequest } from '../weights/weight-store.ts';
import { compilerCacheFolder } from './cache-folder.ts';
import { FileWeightStore } from './file-weight-store.ts';
import { createNodeRuntime } from './node-runtime.ts';
import { graphOf, node, value } from './runtime-test-support.ts';

let folder: string;
let cacheFolder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'blip2-store-'));
  cacheFolder = join(folder, 'cache');
});
const opened: Disposable[] = [];
afterEach(async () => {
  for (const file of opened.splice(0)) file[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

const VALUES: WeightForm = { kind: 'values' };
const INT8: WeightForm = { kind: 'blocks', bits: 8, blockSize: 32 };

/** Numbers that 16 bits hold exactly, different in every element. */
function ramp(length: number, scale = 1): Float32Array {
  return Float32Array.from({ length }, (_, index) => (scale * ((index % 251) - 125)) / 8);
}

/** A checkpoint's file of one format with weights `a` `[40, 64]` and `b` `[64]`. */
async function checkpointFile(dtype: 'F32' | 'F16' | 'BF16', name = 'model.safetensors', scale = 1): Promise<string> {
  const path = join(folder, name);
  const tensors = [
    { name: 'a', shape: [40, 64], values: ramp(40 * 64, scale) },
    { name: 'b', shape: [64], values: ramp(64, 2 * scale) },
  ];
  await writeSafetensorsFile(path, tensors, { dtype });
  return path;
}

/** Weights that count how often they are read. */
async function weightsOf(path: string): Promise<{ a: Weight; b: Weight; reads: () => number }> {
  const file = await openSafetensorsFile(path);
  opened.push({ [Symbol.dispose]: () => file.dispose() });
  let reads = 0;
  const counted = (name: string): Weight => {
    const weight = file.get(name)!;
    return {
      ...weight,
      read: (options) => {
        reads++;
        return weight.read(options);
      },
    };
  };
  return { a: counted('a'), b: counted('b'), reads: () => reads };
}

function requests(weights: Readonly<Record<string, Weight>>, form: WeightForm = VALUES): WeightRequest[] {
  const isPair = form.kind === 'blocks' || form.kind === 'columns';
  return Object.entries(weights).map(([name, weight]) => ({
    names: isPair ? [`${name}.codes`, `${name}.scales`] : [name],
    weight,
    form,
  }));
}

/** The bytes of an initializer, wherever they lie. */
async function bytesOf({ bytes, location }: OnnxInitializer): Promise<Uint8Array> {
  if (bytes !== undefined) return Uint8Array.from(bytes);
  const file = await readFile(location!.file);
  return Uint8Array.from(file.subarray(location!.byteOffset, location!.byteOffset + location!.byteLength));
}

async function floatsOf(initializer: OnnxInitializer): Promise<Float32Array> {
  expect(initializer.type).toBe('float32');
  return new Float32Array((await bytesOf(initializer)).buffer);
}

/** Every file of the cache, by path. */
async function cacheFiles(): Promise<string[]> {
  const found = await readdir(cacheFolder, { recursive: true, withFileTypes: true }).catch(() => []);
  return found
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .toSorted();
}

describe('weights that a graph can use as they lie', () => {
  it('are the checkpoint’s own', async () => {
    const path = await checkpointFile('F32');
    const { a, b } = await weightsOf(path);
    const placed = await new FileWeightStore({ cacheFolder }).place(requests({ a, b, rows: a.rows(3, 5) }));
    expect(placed).toEqual([
      { name: 'a', type: 'float32', shape: [40, 64], location: a.location },
      { name: 'b', type: 'float32', shape: [64], location: b.location },
      {
        name: 'rows',
        type: 'float32',
        shape: [2, 64],
        location: { ...a.location, byteOffset: a.location!.byteOffset + 3 * 256, byteLength: 512 },
      },
    ]);
    expect(await floatsOf(placed[2]!)).toEqual(ramp(40 * 64).slice(192, 320));
    expect(existsSync(cacheFolder)).toBe(false);
  });

  it('are half-precision ones where they are wished as they are stored', async () => {
    const { a } = await weightsOf(await checkpointFile('BF16'));
    const [placed] = await new FileWeightStore({ cacheFolder }).place(requests({ a }, { kind: 'stored' }));
    expect(placed).toEqual({ name: 'a', type: 'bfloat16', shape: [40, 64], location: a.location });
  });

  it('are codes and scales of a checkpoint that is stored quantised', async () => {
    const { codes, scales } = quantizeBlocks(ramp(40 * 64), { rows: 40, columns: 64, bits: 8, blockSize: 32, name: 'a' });
    await writeWeights(join(folder, 'int8'), [
      weightFromValues('a.weight.scale', [40, 2], scales),
      { ...weightFromValues('a.weight.int8', [40, 2, 32], Int32Array.from(codes)), dtype: 'U8' },
    ]);
    const checkpoint = await openCheckpointFolder(join(folder, 'int8'));
    const weight = checkpoint.weights.get('a.weight')!;
    const store = new FileWeightStore({ cacheFolder });
    const [placedCodes, placedScales] = await store.place(requests({ a: weight }, INT8));
    expect(placedCodes).toMatchObject({
      name: 'a.codes',
      type: 'uint8',
      shape: [40, 2, 32],
      location: weight.quantized!.codes.location,
    });
    expect(placedScales).toMatchObject({
      name: 'a.scales',
      type: 'float32',
      shape: [40, 2],
      location: weight.quantized!.scales.location,
    });
    expect(await bytesOf(placedCodes!)).toEqual(new Uint8Array(codes.buffer));
    const [values] = await store.place(requests({ a: weight }));
    expect(await floatsOf(values!)).toEqual(await weight.read());
    expect(values!.location!.file).toContain(cacheFolder);
    checkpoint.dispose();
  });
});

describe('weights that have to be converted', () => {
  it.each(['F16', 'BF16'] as const)('are converted from %s once, ever', async (dtype) => {
    const path = await checkpointFile(dtype);
    const first = await weightsOf(path);
    const placed = await new FileWeightStore({ cacheFolder }).place(requests({ a: first.a, b: first.b }));
    expect(await floatsOf(placed[0]!)).toEqual(ramp(40 * 64));
    expect(await floatsOf(placed[1]!)).toEqual(ramp(64, 2));
    for (const { location } of placed) expect(location!.byteOffset % 4096).toBe(0);
    expect(new Set(placed.map(({ location }) => location!.file)).size).toBe(1);
    const second = await weightsOf(path);
    expect(await new FileWeightStore({ cacheFolder }).place(requests({ a: second.a, b: second.b }))).toEqual(placed);
    expect(second.reads()).toBeLessThanOrEqual(1); // to see that the file is the source
  });

  it('are found by other graphs, which convert only what is new to them', async () => {
    const { a, b } = await weightsOf(await checkpointFile('F16'));
    const store = new FileWeightStore({ cacheFolder });
    const [placedA] = await store.place(requests({ a }));
    const [sameA, placedB, part, reshaped] = await store.place(
      requests({ other: a, b, part: a.rows(1, 3), flat: reshapeWeight(a, [40 * 64]) }),
    );
    expect(sameA).toEqual({ ...placedA, name: 'other' });
    expect(placedB!.location!.file).not.toBe(placedA!.location!.file);
    expect(await floatsOf(part!)).toEqual(ramp(40 * 64).slice(64, 192));
    expect([reshaped!.shape, await floatsOf(reshaped!)]).toEqual([[40 * 64], ramp(40 * 64)]);
  });

  it('take every form', async () => {
    const { a } = await weightsOf(await checkpointFile('BF16'));
    for (const form of [INT8, { ...INT8, bits: 4 }, { kind: 'columns' }] as WeightForm[]) {
      const placed = await new FileWeightStore({ cacheFolder }).place(requests({ a }, form));
      const expected = await convertWeight(a, form);
      expect(placed.map(({ type, shape }) => ({ type, shape }))).toEqual(expected.map(({ type, shape }) => ({ type, shape })));
      for (const [index, part] of placed.entries()) expect(await bytesOf(part)).toEqual(expected[index]!.bytes);
    }
    expect((await cacheFiles()).length).toBe(6); // a pack and an index for each
  });

  it('are converted again when the checkpoint was replaced', async () => {
    const before = await weightsOf(await checkpointFile('F16'));
    const store = new FileWeightStore({ cacheFolder });
    await store.place(requests({ a: before.a }));
    const after = await weightsOf(await checkpointFile('F16', 'model.safetensors', 3));
    const [placed] = await store.place(requests({ a: after.a }));
    expect(await floatsOf(placed!)).toEqual(ramp(40 * 64, 3));
  });

  it.each<[string, (pack: string, index: string) => Promise<void>]>([
    ['cut off', (pack) => truncate(pack, 100)],
    ['longer', (pack) => writeFile(pack, 'more', { flag: 'a' })],
    ['gone', (pack) => rm(pack)],
    ['without its index', (_, index) => rm(index)],
    ['of an index that was cut off', (_, index) => truncate(index, 40)],
    [
      'of an index that was changed',
      async (_, index) => writeFile(index, (await readFile(index, 'utf8')).replace('4096', '8192')),
    ],
    ['of an index that is something else', (_, index) => writeFile(index, '[]')],
  ])('are converted again when the pack is %s', async (_, damage) => {
    const { a, b } = await weightsOf(await checkpointFile('F16'));
    const expected = await new FileWeightStore({ cacheFolder }).place(requests({ a, b }));
    const [pack, index] = await cacheFiles();
    await damage(pack!, index!);
    const placed = await new FileWeightStore({ cacheFolder }).place(requests({ a, b }));
    expect(placed).toEqual(expected);
    expect(await floatsOf(placed[0]!)).toEqual(ramp(40 * 64));
    expect(await cacheFiles()).toEqual([pack, index]);
  });

  it('report their bytes, also where the cache has them', async () => {
    const { a, b } = await weightsOf(await checkpointFile('F16'));
    const store = new FileWeightStore({ cacheFolder });
    for (const used of [{ a }, { a, b }, { a, b }] as Record<string, Weight>[]) {
      const events: Progress[] = [];
      await store.place(requests(used), { onProgress: (event) => events.push(event) });
      const totalBytes = 4 * ('b' in used ? 41 * 64 : 40 * 64);
      expect(events.at(-1)).toMatchObject({ phase: 'load', loadedBytes: totalBytes, totalBytes });
    }
  });
});

describe('weights of no file', () => {
  it('stay in the graph when they are small, and are kept by their content when they are large', async () => {
    const small = weightFromValues('small', [3], Float32Array.of(1, 2, 3));
    const large = weightFromValues('large', [300_000], ramp(300_000));
    const same = weightFromValues('same', [300_000], ramp(300_000));
    const store = new FileWeightStore({ cacheFolder });
    const placed = await store.place(requests({ small, large }));
    expect([placed[0]!.location, await floatsOf(placed[0]!)]).toEqual([undefined, Float32Array.of(1, 2, 3)]);
    expect([placed[1]!.bytes, await floatsOf(placed[1]!)]).toEqual([undefined, ramp(300_000)]);
    const again = await new FileWeightStore({ cacheFolder }).place(requests({ same }));
    expect(again[0]!.location).toEqual(placed[1]!.location);
  });

  it('may be integers or empty', async () => {
    const integers = weightFromValues('integers', [2], Int32Array.of(1, -2));
    const empty = weightFromValues('empty', [0, 4], new Float32Array());
    const placed = await new FileWeightStore({ cacheFolder }).place(requests({ integers, empty }));
    expect(placed).toMatchObject([
      { type: 'int32', shape: [2] },
      { type: 'float32', shape: [0, 4] },
    ]);
    expect(new Int32Array((await bytesOf(placed[0]!)).buffer)).toEqual(Int32Array.of(1, -2));
  });

  it('are told from those of a file of the same name', async () => {
    const onDisk = await checkpointFile('F32');
    const otherBytes = await readFile(await checkpointFile('F32', 'other.safetensors', 5));
    const checkpoint = await checkpointFromFiles(folder, new Map([['model.safetensors', otherBytes]]));
    const a = checkpoint.weights.get('a')!;
    expect(a.location!.file).toBe(onDisk);
    const [placed] = await new FileWeightStore({ cacheFolder }).place(requests({ a }));
    expect(await floatsOf(placed!)).toEqual(ramp(40 * 64, 5));
  });
});

describe('the cache', () => {
  it('is left as it was by errors and aborts', async () => {
    const { a, b } = await weightsOf(await checkpointFile('F16'));
    const store = new FileWeightStore({ cacheFolder });
    const failing: Weight = { ...b, read: () => Promise.reject(new Error('cannot be read')) };
    await expect(store.place(requests({ a, failing }))).rejects.toThrow('cannot be read');
    const controller = new AbortController();
    const aborting: Weight = {
      ...b,
      read: async () => {
        controller.abort();
        return ramp(64);
      },
    };
    const aborted = store.place(requests({ a, aborting }), { abortSignal: controller.signal });
    await expect(aborted).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(await cacheFiles()).toEqual([]);
    expect((await store.place(requests({ a, b }))).length).toBe(2);
  });

  it('is shared by programs that convert at the same time', async () => {
    const path = await checkpointFile('F16');
    const script = `
      const { FileWeightStore } = await import(${JSON.stringify(import.meta.resolve('./file-weight-store.ts'))});
      const { openSafetensorsFile } = await import(${JSON.stringify(import.meta.resolve('@blip2/checkpoints/node'))});
      const file = await openSafetensorsFile(${JSON.stringify(path)});
      const names = process.argv.slice(1);
      const requests = names.map((name) => ({ names: [name], weight: file.get(name), form: { kind: 'values' } }));
      const placed = await new FileWeightStore({ cacheFolder: ${JSON.stringify(cacheFolder)} }).place(requests);
      console.log(JSON.stringify(placed));
    `;
    const run = async (...names: string[]): Promise<OnnxInitializer[]> => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, ...names]);
      return JSON.parse(stdout) as OnnxInitializer[];
    };
    const all = await Promise.all([run('a', 'b'), run('a', 'b'), run('b', 'a')]);
    for (const placed of all) {
      for (const one of placed) expect(await floatsOf(one)).toEqual(one.name === 'a' ? ramp(40 * 64) : ramp(64, 2));
    }
    expect((await cacheFiles()).some((file) => file.endsWith('.tmp'))).toBe(false);
  });

  it('loses what nobody used for a month, and nothing else', async () => {
    const [old, used] = [
      await weightsOf(await checkpointFile('F16')),
      await weightsOf(await checkpointFile('F16', 'used.safetensors', 2)),
    ];
    const store = new FileWeightStore({ cacheFolder });
    const [placedOld] = await store.place(requests({ a: old.a }));
    const [placedUsed] = await store.place(requests({ a: used.a }));
    await writeFile(placedOld!.location!.file.replace(/([^/]+)\.bin$/, '.$1.0.tmp'), 'from a program that was killed');
    const past = new Date(Date.now() - 31 * 24 * 3600_000);
    for (const file of await cacheFiles()) await utimes(file, past, past);
    await store.place(requests({ a: used.a })); // now it was used
    await store.place(requests({ b: used.b }));
    expect(existsSync(placedOld!.location!.file)).toBe(false);
    expect((await cacheFiles()).length).toBe(4);
    expect(await floatsOf(placedUsed!)).toEqual(ramp(40 * 64, 2));
    expect((await stat(placedUsed!.location!.file)).mtimeMs).toBeGreaterThan(past.getTime());
  });

  it('says what to do when it cannot be written', async () => {
    const { a } = await weightsOf(await checkpointFile('F16'));
    await writeFile(cacheFolder, 'a file in its place');
    const error = await new FileWeightStore({ cacheFolder }).place(requests({ a })).catch((cause: Error) => cause);
    expect(String(error).replaceAll(folder, '…')).toMatchInlineSnapshot(
      `"ResourceError: Converted weights cannot be kept in …/cache/weights-1: the folder cannot be written (ENOTDIR), expected a writable folder with room for them. Free some space, or name another folder in BLIP2_CACHE or the option cacheFolder."`,
    );
  });

  it('is a folder that the environment names', () => {
    expect(compilerCacheFolder({ BLIP2_CACHE: '/data/blip2' })).toBe('/data/blip2');
    expect(compilerCacheFolder({ BLIP2_CACHE: '$SCRATCH/blip2', SCRATCH: '/scratch' })).toBe('/scratch/blip2');
    expect(compilerCacheFolder({ XDG_CACHE_HOME: '/caches' })).toBe('/caches/blip2');
    expect(compilerCacheFolder({})).toMatch(/[\\/]\.cache[\\/]blip2$/);
  });
});

describe('a session', () => {
  it('maps converted weights, the same pages in every graph', async () => {
    const { a, b } = await weightsOf(await checkpointFile('BF16'));
    const store = new FileWeightStore({ cacheFolder });
    const runtime = await createNodeRuntime();
    const sessions = [];
    for (const name of ['first', 'second']) {
      const initializers = await store.place(requests({ a, b }));
      const graph = graphOf(
        [value('x', ['rows', 64])],
        [node('Mul', ['x', 'b'], ['scaled']), node('Gemm', ['scaled', 'a'], ['y'], { attributes: { transB: 1 } })],
        [value('y', ['rows', 40])],
        initializers,
      );
      const session = await runtime.createSession(graph, { name });
      const x = ramp(64);
      const [y] = await session.run([{ shape: [1, 64], data: x }]);
      const [A, B] = [ramp(40 * 64), ramp(64, 2)];
      const expected = Float32Array.from({ length: 40 }, (_, row) =>
        x.reduce((sum, one, k) => sum + one * B[k]! * A[row * 64 + k]!, 0),
      );
      expect(await y!.data()).toBeAllclose(expected, 1e-5);
      y!.dispose();
      sessions.push(session);
    }
    const [pack] = await cacheFiles();
    if (existsSync('/proc/self/maps')) expect(readFileSync('/proc/self/maps', 'utf8')).toContain(pack);
    for (const session of sessions) await session.dispose();
    runtime.dispose();
  });
});
