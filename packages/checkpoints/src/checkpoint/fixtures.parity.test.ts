import { readdirSync, readFileSync } from 'node:fs';
import type { WeightSource } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { describe, expect, test } from 'vitest';
import { openCheckpointFolder } from '../node/open-folder.ts';
import { checkpointFromFiles } from './open-checkpoint-files.ts';

/** Fixture folders with weights. */
const FOLDERS = readdirSync(fixturePath('models')).filter((folder) =>
  folder.includes('.') ? false : readdirSync(fixturePath('models', folder)).some((file) => /^model.*\.safetensors$/.test(file)),
);

interface PlainTensor {
  readonly dtype: string;
  readonly shape: number[];
  readonly bytes: Buffer;
}

/** All tensors of a folder by a plain reading, independent of the one under test. */
function plainTensors(folder: string): Map<string, PlainTensor> {
  const tensors = new Map<string, PlainTensor>();
  const files = readdirSync(fixturePath('models', folder)).filter((file) => /^model.*\.safetensors$/.test(file));
  for (const file of files) {
    const bytes = readFileSync(fixturePath('models', folder, file));
    const begin = 8 + bytes.readUInt32LE(0);
    const header = JSON.parse(bytes.toString('utf8', 8, begin)) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: number[] }
    >;
    delete header['__metadata__'];
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
      tensors.set(name, { dtype, shape, bytes: bytes.subarray(begin + offsets[0]!, begin + offsets[1]!) });
    }
  }
  return tensors;
}

/** One value by the definition of its format. */
function plainValue({ dtype, bytes }: PlainTensor, index: number): number {
  if (dtype === 'F32') return bytes.readFloatLE(4 * index);
  if (dtype === 'I64') return Number(bytes.readBigInt64LE(8 * index));
  const bits = bytes.readUInt16LE(2 * index);
  if (dtype === 'BF16') return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
  const exponent = (bits >>> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  return (bits >>> 15 === 0 ? 1 : -1) * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

function plainValues(tensor: PlainTensor): number[] {
  const width = { F32: 4, I64: 8, BF16: 2, F16: 2 }[tensor.dtype]!;
  return Array.from({ length: tensor.bytes.length / width }, (_, index) => plainValue(tensor, index));
}

/** The name a tensor of a file gets, for the folders whose names change; `undefined` for one that is dropped. */
function hubName(folder: string, name: string): string | undefined {
  if (folder === 'clip-vit-l-vision-unprefixed-float16') return `vision_model.${name}`;
  if (folder !== 'stage1') return name;
  if (name.endsWith('position_ids')) return undefined;
  return name
    .replace('Qformer.bert.embeddings.LayerNorm', 'qformer.layernorm')
    .replace('Qformer.bert.embeddings', 'embeddings')
    .replace('Qformer.bert', 'qformer')
    .replace('Qformer.cls', 'cls')
    .replace('attention.self', 'attention.attention')
    .replace('vision_proj.', 'vision_projection.')
    .replace('text_proj.', 'text_projection.')
    .replace('ln_vision', 'vision_model.post_layernorm');
}

async function expectEqual(weights: WeightSource, folder: string): Promise<void> {
  const expected = new Map<string, PlainTensor>();
  for (const [name, tensor] of plainTensors(folder)) {
    const renamed = hubName(folder, name);
    if (renamed !== undefined) expected.set(renamed, tensor);
  }
  expect(weights.names.toSorted()).toEqual([...expected.keys()].toSorted());
  for (const [name, tensor] of expected) {
    const weight = weights.get(name)!;
    expect([weight.name, weight.dtype, weight.shape]).toEqual([name, tensor.dtype, tensor.shape]);
    const values = await weight.read();
    expect(values).toBeInstanceOf(tensor.dtype === 'I64' ? Int32Array : Float32Array);
    expect(Array.from(values)).toEqual(plainValues(tensor));
  }
}

describe.each(FOLDERS)('%s', (folder) => {
  test('every weight from disk equals an independent reading', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
    await expectEqual(checkpoint.weights, folder);
    checkpoint.dispose();
  });

  test('every weight from memory does too', async () => {
    const names = readdirSync(fixturePath('models', folder));
    const files = new Map(names.map((name) => [name, new Uint8Array(readFileSync(fixturePath('models', folder, name)))]));
    const checkpoint = await checkpointFromFiles(folder, files);
    await expectEqual(checkpoint.weights, folder);
  });

  test('locations point at the bytes', async () => {
    const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
    for (const name of checkpoint.weights.names) {
      const { location, shape, dtype, read } = checkpoint.weights.get(name)!;
      const { file, byteOffset, byteLength } = location!;
      const bytes = readFileSync(file).subarray(byteOffset, byteOffset + byteLength);
      expect(plainValues({ dtype, shape: [...shape], bytes })).toEqual(Array.from(await read()));
    }
    checkpoint.dispose();
  });
});

test('the fixtures cover what this test is for', () => {
  expect(FOLDERS).toEqual(
    expect.arrayContaining([
      'blip2-opt',
      'blip2-opt-float16',
      'blip2-flan-t5-bfloat16-sharded',
      'stage1',
      'clip-vit-l-vision-unprefixed-float16',
    ]),
  );
});

test.each([
  ['blip2-opt-float16', 'blip2-opt', 2 ** -11],
  ['blip2-flan-t5-bfloat16-sharded', 'blip2-flan-t5', 2 ** -8],
  ['clip-vit-l-vision-unprefixed-float16', 'clip-vit-l-vision', 2 ** -11],
])('%s holds the values of %s to half a unit of its format', async (folder, reference, halfUnit) => {
  const [narrow, wide] = await Promise.all([folder, reference].map((name) => openCheckpointFolder(fixturePath('models', name))));
  for (const name of wide!.weights.names) {
    const [values, expected] = await Promise.all([narrow, wide].map((checkpoint) => checkpoint!.weights.get(name)!.read()));
    // Below the normal range of float16 the unit is fixed.
    const worst = expected!.findIndex(
      (value, index) => Math.abs(value - values![index]!) > Math.max(Math.abs(value) * halfUnit, 2 ** -25),
    );
    expect(worst, name).toBe(-1);
  }
  narrow!.dispose();
  wide!.dispose();
});
