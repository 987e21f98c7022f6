import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckpointError, InputError, ResourceError, weightFromValues, type Progress, type Weight } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeSafetensors } from '../safetensors/encode-safetensors.ts';
import { fileProblem } from './file-problem.ts';
import { openCheckpointFolder, openSafetensorsFile } from './open-folder.ts';
import { writeSafetensorsFile, writeWeights } from './write-weights.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blip2-write-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const A = weightFromValues('a', [3], Float32Array.of(1, 2, 3));
const B = weightFromValues('b', [2, 2], Float32Array.of(0.1, 0.2, 0.3, 0.4));
const IDS = weightFromValues('ids', [2], Int32Array.of(5, -6));

/** A weight that cannot be read. */
function broken(name: string, cause: unknown): Weight {
  return { ...weightFromValues(name, [2], Float32Array.of(1, 2)), name, read: () => Promise.reject(cause) };
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(Error);
  (error as Error).message = (error as Error).message.replaceAll(folder, 'FOLDER');
  return error as Error;
}

describe('one file', () => {
  test('has the bytes that encoding in memory gives', async () => {
    const path = join(folder, 'x.safetensors');
    const tensors = {
      a: { shape: [3], values: Float32Array.of(1, 2, 3) },
      half: { shape: [2], values: Float32Array.of(0.1, 65504), dtype: 'F16' },
      mask: { shape: [2], values: Uint8Array.of(1, 0) },
      long: { shape: [1], values: [7], dtype: 'I64' },
      scalar: { shape: [], values: [0.5], dtype: 'BF16' },
      none: { shape: [0, 4], values: [] },
    } as const;
    const metadata = { made: 'here' };
    await writeSafetensorsFile(
      path,
      Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor })),
      { metadata },
    );
    expect(new Uint8Array(readFileSync(path))).toEqual(encodeSafetensors(tensors, { metadata }));
    expect(readdirSync(folder)).toEqual(['x.safetensors']);
  });

  test('takes another float format; integers keep theirs', async () => {
    const path = join(folder, 'x.safetensors');
    await writeSafetensorsFile(path, [A, IDS], { dtype: 'F16' });
    const file = await openSafetensorsFile(path);
    expect(file.names.map((name) => file.get(name)!.dtype)).toEqual(['I32', 'F16']);
    expect(await file.get('ids')!.read()).toEqual(Int32Array.of(5, -6));
    file.dispose();
    await writeSafetensorsFile(path, [A, B], { dtype: (tensor) => (tensor.name === 'a' ? 'BF16' : 'F32') });
    const again = await openSafetensorsFile(path);
    expect(again.get('a')!.dtype).toBe('BF16');
    again.dispose();
  });

  test('large weights are written in pieces, with progress', async () => {
    const values = Float32Array.from({ length: 9_000_001 }, (_, index) => index % 1021);
    const path = join(folder, 'x.safetensors');
    const events: Progress[] = [];
    await writeSafetensorsFile(path, [{ name: 'w', shape: [values.length], values }, A], {
      dtype: 'F16',
      onProgress: (event) => events.push(event),
    });
    const file = await openSafetensorsFile(path);
    const read = await file.get('w')!.read();
    expect(read.findIndex((value, index) => value !== values[index])).toBe(-1);
    file.dispose();
    expect(events.length).toBeGreaterThanOrEqual(4);
    expect(
      events.every(
        (event, index) =>
          event.totalBytes === events[0]!.totalBytes && (index === 0 || event.loadedBytes > events[index - 1]!.loadedBytes),
      ),
    ).toBe(true);
    expect(events.at(-1)!.loadedBytes).toBe(readFileSync(path).length);
  });
});

describe('a model folder', () => {
  test.each(['blip2-opt', 'blip2-flan-t5-bfloat16-sharded'])('%s, written in shards, reads back bit for bit', async (name) => {
    const original = await openCheckpointFolder(fixturePath('models', name));
    const weights = original.weights.names.map((key) => original.weights.get(key)!);
    const target = join(folder, 'new', 'model');
    const written = await writeWeights(target, weights, { maxShardBytes: 200_000 });
    expect(written.length).toBeGreaterThan(3);
    expect(readdirSync(target).toSorted()).toEqual(written.toSorted());
    expect(written[0]).toMatch(/^model-00001-of-0000\d\.safetensors$/);
    for (const shard of written.slice(0, -1)) expect(readFileSync(join(target, shard)).length).toBeLessThan(230_000);

    const copy = await openCheckpointFolder(target);
    expect(copy.weights.names.toSorted()).toEqual(original.weights.names.toSorted());
    for (const weight of weights) {
      const read = copy.weights.get(weight.name)!;
      expect([read.dtype, read.shape]).toEqual([weight.dtype, weight.shape]);
      expect(await read.read()).toEqual(await weight.read());
    }
    const index = JSON.parse(readFileSync(join(target, 'model.safetensors.index.json'), 'utf8')) as {
      metadata: { total_size: number };
    };
    expect(index.metadata.total_size).toBe(weights.reduce((sum, weight) => sum + weight.location!.byteLength, 0));
    copy.dispose();
    original.dispose();
  });

  test('a tensor above the limit gets a shard of its own; everything below it is one file', async () => {
    expect(await writeWeights(join(folder, 'a'), [A, B, IDS], { maxShardBytes: 12 })).toHaveLength(4);
    expect(await writeWeights(join(folder, 'b'), [A, B, IDS])).toEqual(['model.safetensors']);
  });

  test('weights that are there are kept, unless they are to be replaced; then nothing old stays', async () => {
    await writeWeights(folder, [A, B, IDS], { maxShardBytes: 12 });
    writeFileSync(join(folder, 'config.json'), '{}');
    const error = await failure(writeWeights(folder, [A]));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatchInlineSnapshot(
      `"FOLDER: already holds weights (model-00001-of-00003.safetensors, model-00002-of-00003.safetensors, model-00003-of-00003.safetensors, model.safetensors.index.json). Choose an empty folder, or pass overwrite: true to replace them."`,
    );
    await writeWeights(folder, [A], { overwrite: true });
    expect(readdirSync(folder).toSorted()).toEqual(['config.json', 'model.safetensors']);
    await writeWeights(folder, [A, B], { overwrite: true, maxShardBytes: 12 });
    expect(readdirSync(folder)).not.toContain('model.safetensors');
    const checkpoint = await openCheckpointFolder(folder);
    expect(checkpoint.weights.names).toEqual(['a', 'b']);
    checkpoint.dispose();
  });

  test('a folder can be converted in place', async () => {
    await writeWeights(folder, [A, B]);
    const original = await openCheckpointFolder(folder);
    await writeWeights(
      folder,
      original.weights.names.map((name) => original.weights.get(name)!),
      { overwrite: true, dtype: 'F16' },
    );
    original.dispose();
    const converted = await openCheckpointFolder(folder);
    expect(converted.weights.get('a')!.dtype).toBe('F16');
    expect(await converted.weights.get('a')!.read()).toEqual(Float32Array.of(1, 2, 3));
    converted.dispose();
  });

  test('what cannot be stored is refused before a byte is written', async () => {
    await expect(writeWeights(folder, [A, A], { maxShardBytes: 12 })).rejects.toThrow(InputError);
    await expect(writeWeights(folder, [A], { maxShardBytes: 0 })).rejects.toThrow(InputError);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('when it fails, what was there stays and nothing else does', () => {
  const before = (): void =>
    writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors({ old: { shape: [], values: [1] } }));
  const expectUntouched = (): void => {
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    expect(new Uint8Array(readFileSync(join(folder, 'model.safetensors')))).toEqual(
      encodeSafetensors({ old: { shape: [], values: [1] } }),
    );
  };

  test('a weight that cannot be read: its error, unwrapped', async () => {
    before();
    const cause = new CheckpointError('damaged', 'x');
    await expect(writeWeights(folder, [A, B, broken('c', cause)], { overwrite: true, maxShardBytes: 12 })).rejects.toBe(cause);
    await expect(writeSafetensorsFile(join(folder, 'model.safetensors'), [A, broken('c', cause)])).rejects.toBe(cause);
    expectUntouched();
  });

  test('an abort: its reason, unwrapped', async () => {
    before();
    const controller = new AbortController();
    const reason = new Error('enough');
    const abortSignal = controller.signal;
    const aborting: Weight = { ...A, name: 'c', read: async () => (controller.abort(reason), Float32Array.of(1, 2, 3)) };
    await expect(writeWeights(folder, [A, aborting, B], { overwrite: true, abortSignal })).rejects.toBe(reason);
    expectUntouched();
  });

  test('values that do not fill the shape', async () => {
    before();
    const short: Weight = { ...A, name: 'c', read: async () => Float32Array.of(1) };
    const error = await failure(writeWeights(folder, [short], { overwrite: true }));
    expect(error.message).toMatchInlineSnapshot(
      `"Storing tensors: 'c' has 1 values, but its shape [3] needs 3. Pass all values, row-major, or correct the shape."`,
    );
    expectUntouched();
  });

  test('a folder that is a file', async () => {
    before();
    const error = await failure(writeWeights(join(folder, 'model.safetensors', 'x'), [A]));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatchInlineSnapshot(
      `"FOLDER/model.safetensors/x: cannot be written: a part of the path is a file, not a folder. Check the path."`,
    );
    expectUntouched();
  });

  test('a place that is a folder', async () => {
    before();
    const error = await failure(writeSafetensorsFile(folder, [A]));
    expect(error).toBeInstanceOf(CheckpointError);
    expectUntouched();
  });

  test('a folder that does not exist', async () => {
    const error = await failure(writeSafetensorsFile(join(folder, 'none', 'x.safetensors'), [A]));
    expect(error.message).toMatchInlineSnapshot(
      `"FOLDER/none/x.safetensors: cannot be written: there is no such file or folder. Check the path."`,
    );
  });

  // The superuser writes everywhere, so for him the folder has to be on a read-only file system.
  test.skipIf(process.getuid?.() === 0)('a folder without permission', async () => {
    before();
    chmodSync(folder, 0o500);
    const error = await failure(writeWeights(folder, [A], { overwrite: true }));
    chmodSync(folder, 0o700);
    expect(error.message).toContain('permission was refused');
    expectUntouched();
  });
});

/** Mounts a small file system in memory; `undefined` where that is not allowed. */
function mountSmall(path: string, options: string): (() => void) | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return () => execFileSync('umount', ['--lazy', path]); // handles close a moment after dispose
}

test('a full disk: ResourceError, and the folder is as it was', async (context) => {
  const unmount = mountSmall(folder, 'size=64k');
  if (unmount === undefined) return context.skip('needs permission to mount a file system');
  try {
    await writeWeights(folder, [A]);
    const files = readdirSync(folder);
    const large = weightFromValues('large', [40_000], new Float32Array(40_000));
    const error = await failure(writeWeights(folder, [A, large], { overwrite: true, maxShardBytes: 1000 }));
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.message.replace(/\/model-\d+-of-\d+/, '/SHARD')).toMatchInlineSnapshot(
      `"FOLDER/SHARD.safetensors: cannot be written: the disk is full. Free some space, or choose another folder."`,
    );
    expect(readdirSync(folder)).toEqual(files);
    const checkpoint = await openCheckpointFolder(folder);
    expect(await checkpoint.weights.get('a')!.read()).toEqual(Float32Array.of(1, 2, 3));
    checkpoint.dispose();
  } finally {
    unmount();
  }
});

test('a read-only file system', async (context) => {
  const unmount = mountSmall(folder, 'size=64k,ro');
  if (unmount === undefined) return context.skip('needs permission to mount a file system');
  try {
    const error = await failure(writeWeights(folder, [A]));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatchInlineSnapshot(
      `"FOLDER/model.safetensors: cannot be written: the file system is read-only. Choose another folder."`,
    );
  } finally {
    unmount();
  }
});

test.runIf(process.platform === 'linux')('the error of a full device is told as a full disk everywhere', async () => {
  const handle = await open('/dev/full', 'w');
  const cause: unknown = await handle.write(Buffer.from('x')).catch((error: unknown) => error);
  await handle.close();
  const error = fileProblem('write', '/data/model.safetensors', cause);
  expect(error).toBeInstanceOf(ResourceError);
  expect(error.message).toMatchInlineSnapshot(
    `"/data/model.safetensors: cannot be written: the disk is full. Free some space, or choose another folder."`,
  );
});
