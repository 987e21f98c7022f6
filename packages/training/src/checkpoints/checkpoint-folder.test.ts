import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CheckpointStore, TrainingCheckpoint } from '../trainer/checkpoint-store.ts';
import { checkpointFolder, type CheckpointFolderOptions } from './checkpoint-folder.ts';
import { encodeStateFile } from './state-file.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-checkpoints-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const names = async (): Promise<string[]> => (await readdir(folder)).toSorted();

/** Every step's numbers are its own; the floats are those that formats get wrong: -0, the smallest, the largest, 1/3. */
function checkpointOf(step: number, best?: number): TrainingCheckpoint {
  const tree = (offset: number): unknown => ({
    'layers.0.weight': { shape: [2, 2], data: Float32Array.of(-0, 1e-45, 3.4028234663852886e38, 1 / 3 + step + offset) },
    scale: { shape: [], data: Float32Array.of(step + offset) },
  });
  return {
    step,
    state: { params: tree(0), first: tree(0.25), second: tree(0.5), steps: step - 1 },
    position: { epoch: 1, next: step, order: [3, 1, 2], seed: 'a' },
    counts: {
      skippedSteps: 1,
      skippedInARow: 0,
      ...(best === undefined ? {} : { best: { metric: 'cider', value: 0.5, step: best } }),
    },
  };
}

/** The store, and what it warned of. */
function storeIn(options: CheckpointFolderOptions = {}): CheckpointStore & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const withoutFolder = (message: string): void => void warnings.push(message.replaceAll(folder, 'runs'));
  return { ...checkpointFolder(folder, { onWarning: withoutFolder, ...options }), warnings };
}

const messageOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing was thrown',
    (error: Error) => `${error.name}: ${error.message.replaceAll(folder, 'runs')}`,
  );

describe('checkpointFolder', () => {
  it('gives back what was saved, bit by bit', async () => {
    await storeIn().save(checkpointOf(12));
    expect(await storeIn().load()).toEqual(checkpointOf(12));
    expect(await readdir(join(folder, 'step-00000012'))).toEqual(['state.json', 'state.safetensors']);
  });

  it('takes trees of any depth and gives them back by path', async () => {
    const leaf = { shape: [1], data: Float32Array.of(2) };
    const state = { params: { layers: [{ weight: leaf }, { weight: undefined }] }, first: {}, second: { 'a.b': leaf }, steps: 1 };
    await storeIn().save({ ...checkpointOf(1), state });
    expect((await storeIn().load())?.state).toEqual({
      params: { 'layers.0.weight': leaf },
      first: {},
      second: { 'a.b': leaf },
      steps: 1,
    });
  });

  it('has nothing to load from a folder that is empty or not there', async () => {
    expect(await storeIn().load()).toBeUndefined();
    expect(await checkpointFolder(join(folder, 'none')).load()).toBeUndefined();
    await checkpointFolder(join(folder, 'deep', 'one')).save(checkpointOf(1));
    expect((await checkpointFolder(join(folder, 'deep', 'one')).load())?.step).toBe(1);
  });

  it('keeps the newest and the best', async () => {
    const store = storeIn({ keep: 2 });
    for (const step of [1, 2, 3, 4]) await store.save(checkpointOf(step, 2));
    expect(await names()).toEqual(['step-00000002', 'step-00000003', 'step-00000004']);
    await store.save(checkpointOf(5, 5));
    expect(await names()).toEqual(['step-00000004', 'step-00000005']);
    expect((await store.load())?.step).toBe(5);
  });

  it('removes what interrupted runs left, and nothing else', async () => {
    await mkdir(join(folder, '.step-00000007.01234567.tmp'));
    await mkdir(join(folder, '.step-00000005.01234567.old.tmp'));
    await mkdir(join(folder, 'step-1'));
    await writeFile(join(folder, 'notes.txt'), 'mine');
    expect(await storeIn().load()).toBeUndefined();
    expect(await names()).toEqual(['notes.txt', 'step-1']);
  });

  it('passes over damaged ones with a warning, and does not count them', async () => {
    const store = storeIn({ keep: 2 });
    for (const step of [1, 2]) await store.save(checkpointOf(step));
    await cp(join(folder, 'step-00000002'), join(folder, 'step-00000003'), { recursive: true }); // of another step
    await mkdir(join(folder, 'step-00000004'));
    const after = storeIn({ keep: 2 });
    expect(await after.load()).toEqual(checkpointOf(2));
    expect(after.warnings).toMatchInlineSnapshot(`
      [
        "runs/step-00000004: state.json is missing. It is left alone, and the one before it is taken.",
        "runs/step-00000003: state.json is that of step 2. It is left alone, and the one before it is taken.",
      ]
    `);
    await after.save(checkpointOf(3));
    await after.save(checkpointOf(5));
    expect(await names()).toEqual(['step-00000003', 'step-00000004', 'step-00000005']);
  });
});

describe('refuses', () => {
  it('a checkpoint of another run', async () => {
    const identity = { recipe: 'stage1', learning: { peak: 1e-4, betas: [0.9, 0.98] }, seed: 1 };
    await storeIn({ identity }).save(checkpointOf(1));
    expect(await storeIn({ identity: Object.fromEntries(Object.entries(identity).toReversed()) }).load()).toBeDefined(); // in another order
    const other = { recipe: 'stage1', learning: { peak: 2e-4, betas: [0.9, 0.999] }, data: 'coco' };
    expect(await messageOf(storeIn({ identity: other }).load())).toMatchInlineSnapshot(
      `"CheckpointError: runs/step-00000001: is a checkpoint of another run: learning.peak is 0.0001 there and 0.0002 here; learning.betas.1 is 0.98 there and 0.999 here; data is absent there and "coco" here; seed is 1 there and absent here. Train with the settings it was made with, or choose another folder."`,
    );
  });

  it('to begin where a run has been', async () => {
    await storeIn().save(checkpointOf(1));
    expect(await messageOf(storeIn({ resume: false }).load())).toMatchInlineSnapshot(
      `"CheckpointError: runs: holds step-00000001, expected no checkpoint, because resume is false. Choose another folder, or go on from the newest with resume: true."`,
    );
  });

  it('to begin anew where all is damaged', async () => {
    await storeIn().save(checkpointOf(1));
    await rm(join(folder, 'step-00000001', 'state.safetensors'));
    expect(await messageOf(storeIn().load())).toMatchInlineSnapshot(
      `"CheckpointError: runs: none of its checkpoints is whole (step-00000001). Copy one from elsewhere into the folder, or remove them to begin anew."`,
    );
  });

  it('a version that it does not know', async () => {
    await storeIn().save(checkpointOf(1));
    const file = join(folder, 'step-00000001', 'state.json');
    const { checkpoint } = JSON.parse(await readFile(file, 'utf8')) as { checkpoint: object };
    await writeFile(file, encodeStateFile({ ...checkpoint, version: 2 } as never));
    expect(await messageOf(storeIn().load())).toMatchInlineSnapshot(
      `"CheckpointError: runs/step-00000001/state.json: is a checkpoint of version 2, expected 1. Go on with the version of @blip2/training that wrote it."`,
    );
  });

  it('what JSON would lose or change', async () => {
    const save = (position: unknown): Promise<string> =>
      messageOf(storeIn().save({ ...checkpointOf(1), position: position as never }));
    expect(await save({ order: [1, Number.NaN] })).toMatchInlineSnapshot(
      `"InputError: checkpoint: the position of the batches, at order.1, is NaN, expected what JSON can hold: null, booleans, finite numbers, texts, lists, plain objects. Convert it."`,
    );
    expect(await save(new Map([[1, 2]]))).toMatchInlineSnapshot(
      `"InputError: checkpoint: the position of the batches is a Map, expected what JSON can hold: null, booleans, finite numbers, texts, lists, plain objects. Convert it."`,
    );
    expect(await save(undefined)).toMatchInlineSnapshot(
      `"InputError: checkpoint: the position of the batches is undefined, expected what JSON can hold: null, booleans, finite numbers, texts, lists, plain objects. Convert it."`,
    );
    expect(() => checkpointFolder(folder, { identity: { seed: 1n } as never })).toThrowErrorMatchingInlineSnapshot(
      `[InputError: checkpoint: the identity, at seed, is a bigint, expected what JSON can hold: null, booleans, finite numbers, texts, lists, plain objects. Convert it.]`,
    );
    expect(await names()).toEqual([]);
    await storeIn({ identity: { seed: 1, limit: undefined } as never }).save(checkpointOf(1));
    expect(await storeIn({ identity: { seed: 1, limit: undefined } as never }).load()).toBeDefined();
  });

  it('to keep nothing', async () => {
    expect(() => checkpointFolder(folder, { keep: 0 })).toThrowErrorMatchingInlineSnapshot(
      `[InputError: checkpointFolder: keep is 0, expected a whole number of 1 or more. The newest checkpoint always stays.]`,
    );
  });
});

it('an error while saving leaves what was there', async () => {
  const store = storeIn();
  await store.save(checkpointOf(1));
  const broken = {
    ...checkpointOf(2),
    state: { ...checkpointOf(2).state, first: { a: { shape: [3], data: new Float32Array(2) } } },
  };
  await expect(store.save(broken)).rejects.toMatchObject({ code: 'shape' });
  expect(await names()).toEqual(['step-00000001']);
  expect(await store.load()).toEqual(checkpointOf(1));
});

describe('after any damage', () => {
  /** What disks, copies and people do to a file, at a place between its ends. */
  type Damage = { readonly kind: 'flip' | 'cut' | 'zero' | 'append' | 'remove'; readonly at: number; readonly bit: number };

  const damage = fc.record<Damage>({
    kind: fc.constantFrom('flip', 'flip', 'flip', 'cut', 'zero', 'append', 'remove'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    bit: fc.nat(7),
  });

  async function doDamage(path: string, { kind, at, bit }: Damage): Promise<void> {
    const bytes = await readFile(path);
    const index = Math.floor(at * bytes.length);
    if (kind === 'remove') return rm(path);
    if (kind === 'cut') return truncate(path, index);
    if (kind === 'append') return writeFile(path, Buffer.concat([bytes, bytes.subarray(index)]));
    if (kind === 'zero') bytes.fill(0, index, Math.min(index + 64, bytes.length));
    else bytes[index]! ^= 1 << bit;
    return writeFile(path, bytes);
  }

  it('the state is the newest or the one before it, never a wrong one', async () => {
    for (const step of [10, 20]) await storeIn().save(checkpointOf(step));
    const newest = (name: string): string => join(folder, 'step-00000020', name);
    const whole = new Map<string, Uint8Array>();
    for (const name of ['state.json', 'state.safetensors']) whole.set(name, await readFile(newest(name)));
    const file = fc.constantFrom(...whole.keys());
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(file, damage, async (name, change) => {
        await doDamage(newest(name), change);
        const store = storeIn();
        const found = await store.load();
        await writeFile(newest(name), whole.get(name)!);
        seen.add(found!.step);
        expect(store.warnings).toHaveLength(found!.step === 20 ? 0 : 1);
        expect(found).toEqual(checkpointOf(found!.step));
      }),
      { numRuns: 120 },
    );
    expect([...seen].toSorted()).toContain(10);
  });

  it('of a name, the same', async () => {
    const store = storeIn();
    for (const step of [10, 20]) await store.save(checkpointOf(step));
    await rename(join(folder, 'step-00000020'), join(folder, 'step-00000030'));
    expect(await store.load()).toEqual(checkpointOf(10));
  });
});
