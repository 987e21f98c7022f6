import { CheckpointError, DisposedError, InputError } from '@blip2/core';
import { expect, test } from 'vitest';
import { encodeSafetensors } from '../safetensors/encode-safetensors.ts';
import { checkpointFromFiles } from './open-checkpoint-files.ts';

const encoder = new TextEncoder();
const ONE = encodeSafetensors({ a: { shape: [2], values: [1, 2] } });
const TWO = encodeSafetensors({ b: { shape: [1], values: [3] }, c: { shape: [], values: [4] } });

function sharded(weightMap: unknown, more: Record<string, unknown> = {}): Map<string, Uint8Array> {
  return new Map([
    ['model.safetensors.index.json', encoder.encode(JSON.stringify({ ...more, weight_map: weightMap }))],
    ['s1.safetensors', ONE],
    ['s2.safetensors', TWO],
  ]);
}

const GOOD_MAP = { a: 's1.safetensors', b: 's2.safetensors', c: 's2.safetensors' };

async function failure(files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const error: unknown = await checkpointFromFiles('folder', files).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as CheckpointError).message;
}

test('several files with an index are one source; unknown fields of the index are tolerated', async () => {
  const checkpoint = await checkpointFromFiles(
    'folder',
    sharded(GOOD_MAP, { metadata: { total_size: 12, total_parameters: 4, save_format: 'x' } }),
  );
  expect(checkpoint.weights.names).toEqual(['a', 'b', 'c']);
  expect(await checkpoint.weights.get('c')!.read()).toEqual(Float32Array.of(4));
  expect(checkpoint.weights.get('c')!.shape).toEqual([]);
  expect(checkpoint.weights.get('c')!.location!.file).toBe('folder/s2.safetensors');
  expect(checkpoint.weights.get('toString')).toBeUndefined();
});

test('one file wins over an index, as in transformers', async () => {
  const checkpoint = await checkpointFromFiles(
    'folder',
    new Map([...sharded({ zzz: 'none.safetensors' }), ['model.safetensors', ONE]]),
  );
  expect(checkpoint.weights.names).toEqual(['a']);
});

test('each way in which an index and its files disagree has its message', async () => {
  const index = (text: string): Map<string, Uint8Array> =>
    new Map([...sharded({}), ['model.safetensors.index.json', encoder.encode(text)]]);
  const cases: Record<string, Map<string, Uint8Array>> = {
    'broken index': index('{"weight_map": {"a": }'),
    'a weight twice in the index': index('{"weight_map": {"a": "s1.safetensors", "a": "s2.safetensors"}}'),
    'index is a list': index('[]'),
    'no weight_map': index('{"metadata": {}}'),
    'empty weight_map': sharded({}),
    'missing shard': sharded({ ...GOOD_MAP, d: 's3.safetensors' }),
    'weight not in its shard': sharded({ ...GOOD_MAP, d: 's1.safetensors' }),
    'weight in another shard': sharded({ ...GOOD_MAP, a: 's2.safetensors' }),
    'shard with more weights': sharded({ a: 's1.safetensors', b: 's2.safetensors' }),
    'way out of the folder': sharded({ ...GOOD_MAP, a: '../s1.safetensors' }),
    'absolute path': sharded({ ...GOOD_MAP, a: '/etc/passwd.safetensors' }),
    'Windows path': sharded({ ...GOOD_MAP, a: '..\\s1.safetensors' }),
    URL: sharded({ ...GOOD_MAP, a: 'https:evil.safetensors' }),
    'shard name with a null byte': sharded({ ...GOOD_MAP, a: 's1\u0000.safetensors' }),
    'shard name that is a number': sharded({ ...GOOD_MAP, a: 1 }),
    'shard of another format': sharded({ ...GOOD_MAP, a: 'pytorch_model.bin' }),
    'damaged shard': new Map([...sharded(GOOD_MAP), ['s2.safetensors', TWO.slice(0, -1)]]),
  };
  const messages = await Promise.all(Object.entries(cases).map(async ([kind, files]) => [kind, await failure(files)]));
  expect(Object.fromEntries(messages)).toMatchInlineSnapshot(`
    {
      "URL": "folder/model.safetensors.index.json: puts 'a' into 'https:evil.safetensors', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "Windows path": "folder/model.safetensors.index.json: puts 'a' into '..\\\\s1.safetensors', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "a weight twice in the index": "folder/model.safetensors.index.json: has the key 'a' a second time at line 1, column 40. Fetch the index file again, from the same revision as the weights.",
      "absolute path": "folder/model.safetensors.index.json: puts 'a' into '/etc/passwd.safetensors', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "broken index": "folder/model.safetensors.index.json: is broken JSON: found '}' at line 1, column 22, expected a value. Fetch the index file again, from the same revision as the weights.",
      "damaged shard": "folder/s2.safetensors: not a valid safetensors file: tensor 'c' ends at byte 8 of the data, but the file has only 7 bytes of data. The file is damaged or was not copied to its end; fetch it again.",
      "empty weight_map": "folder/model.safetensors.index.json: has an empty 'weight_map', expected at least one weight. Fetch the index file again, from the same revision as the weights.",
      "index is a list": "folder/model.safetensors.index.json: has no 'weight_map' object, expected one from weight names to file names. Fetch the index file again, from the same revision as the weights.",
      "missing shard": "folder/s3.safetensors: missing, but model.safetensors.index.json puts 1 weights into it, such as d. Fetch this file, from the same revision as the index.",
      "no weight_map": "folder/model.safetensors.index.json: has no 'weight_map' object, expected one from weight names to file names. Fetch the index file again, from the same revision as the weights.",
      "shard name that is a number": "folder/model.safetensors.index.json: puts 'a' into 1, expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "shard name with a null byte": "folder/model.safetensors.index.json: puts 'a' into 's1\\u0000.safetensors', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "shard of another format": "folder/model.safetensors.index.json: puts 'a' into 'pytorch_model.bin', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "shard with more weights": "folder/s2.safetensors: holds c, which model.safetensors.index.json does not put there. Index and weights come from different revisions; fetch them again together.",
      "way out of the folder": "folder/model.safetensors.index.json: puts 'a' into '../s1.safetensors', expected the plain name of a .safetensors file in the same folder. Fetch the index file again, from the same revision as the weights.",
      "weight in another shard": "folder/s2.safetensors: lacks a, which model.safetensors.index.json puts there. Index and weights come from different revisions; fetch them again together.",
      "weight not in its shard": "folder/s1.safetensors: lacks d, which model.safetensors.index.json puts there. Index and weights come from different revisions; fetch them again together.",
    }
  `);
});

test('a folder without readable weights says what it has and what is expected', async () => {
  const empty = new Uint8Array(0);
  const messages = await Promise.all([
    failure(new Map()),
    failure(new Map([['pytorch_model-00001-of-00002.bin', empty]])),
    failure(new Map([['blip2_pretrained.pth', empty]])),
    failure(new Map([['s1.safetensors', ONE]])),
  ]);
  expect(messages).toMatchInlineSnapshot(`
    [
      "folder: found no weights; expected model.safetensors, or model.safetensors.index.json with the files it names. Check that this is a model's folder.",
      "folder: found only pytorch_model-00001-of-00002.bin, a pickled PyTorch file, which can run hidden programs and is not read; expected model.safetensors, or model.safetensors.index.json with the files it names. Convert it once in Python: safetensors.torch.save_file(state_dict, 'model.safetensors') or model.save_pretrained(folder).",
      "folder: found only blip2_pretrained.pth, a pickled PyTorch file, which can run hidden programs and is not read; expected model.safetensors, or model.safetensors.index.json with the files it names. Convert it once in Python: safetensors.torch.save_file(state_dict, 'model.safetensors') or model.save_pretrained(folder).",
      "folder: found s1.safetensors, expected model.safetensors, or model.safetensors.index.json with the files it names. Rename a single file to model.safetensors, or fetch the index of several.",
    ]
  `);
});

test('files are read by plain name only', async () => {
  const checkpoint = await checkpointFromFiles(
    'folder',
    new Map([
      ['model.safetensors', ONE],
      ['a.json', encoder.encode('{}')],
    ]),
  );
  expect(await checkpoint.readFile('a.json')).toEqual(encoder.encode('{}'));
  expect(await checkpoint.readFile('b.json')).toBeUndefined();
  const error = await checkpoint.readFile('../a.json').catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toMatchInlineSnapshot(
    `"readFile: '../a.json' is not the name of a file in the checkpoint's folder. Pass a name such as 'config.json'."`,
  );
});

test('after dispose everything is refused, twice is once', async () => {
  const checkpoint = await checkpointFromFiles('folder', sharded(GOOD_MAP));
  const weight = checkpoint.weights.get('a')!;
  const rows = weight.rows(0, 1);
  checkpoint.dispose();
  checkpoint[Symbol.dispose]();
  expect(() => checkpoint.weights.get('a')).toThrow(DisposedError);
  await expect(weight.read()).rejects.toThrow(DisposedError);
  await expect(rows.read()).rejects.toThrow(DisposedError);
  await expect(checkpoint.readFile('a.json')).rejects.toThrow(DisposedError);
});

test("values that are read are the caller's: changing them changes nothing else", async () => {
  const bytes = ONE.slice();
  const checkpoint = await checkpointFromFiles('folder', new Map([['model.safetensors', bytes]]));
  (await checkpoint.weights.get('a')!.read()).fill(7);
  expect(await checkpoint.weights.get('a')!.read()).toEqual(Float32Array.of(1, 2));
  expect(bytes).toEqual(ONE);
});

test('an aborted read rejects with the reason', async () => {
  const checkpoint = await checkpointFromFiles('folder', new Map([['model.safetensors', ONE]]));
  const reason = new Error('enough');
  await expect(checkpoint.weights.get('a')!.read({ abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});
