import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor } from '@tensorflow/tfjs-core';

/** Absolute path of a file or folder under `testing/fixtures`. */
export function fixturePath(...segments: string[]): string {
  return fileURLToPath(new URL(`../fixtures/${segments.join('/')}`, import.meta.url));
}

/** A tensor of a golden file, as plain numbers. */
export interface GoldenTensor {
  readonly shape: number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** One folder's golden values: `golden.json` and the tensors of `golden.safetensors`. */
export interface Golden {
  /** Everything that is not a tensor. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each fixture has its own structure
  readonly json: any;
  readonly names: readonly string[];
  get(name: string): GoldenTensor;
  /** The values as a new tfjs tensor, the caller's. */
  tensor<R extends Rank>(name: string): Tensor<R>;
}

/** Reads the golden values of a fixture folder, such as `models/blip2-opt`. */
export function readGolden(folder: string): Golden {
  const json: unknown = JSON.parse(readFileSync(fixturePath(folder, 'golden.json'), 'utf8'));
  const tensors = readTensors(fixturePath(folder, 'golden.safetensors'));
  const get = (name: string): GoldenTensor => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`${folder}/golden.safetensors has no tensor '${name}'`);
    return tensor;
  };
  return {
    json,
    names: [...tensors.keys()],
    get,
    tensor: <R extends Rank>(name: string) => {
      const { shape, data } = get(name);
      return tf.tensor<R>(data, shape as never, data instanceof Float32Array ? 'float32' : 'int32');
    },
  };
}

/** A deliberately plain safetensors reader, independent of the one under test. */
function readTensors(path: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, GoldenTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets.map((offset) => offset + 8 + headerLength) as [number, number];
    const raw = new Uint8Array(bytes.subarray(begin, end)).buffer;
    const arrays = { F32: Float32Array, I32: Int32Array, U8: Uint8Array };
    const ArrayType = arrays[entry.dtype as keyof typeof arrays];
    if (ArrayType === undefined) throw new Error(`${path}: '${name}' has dtype ${entry.dtype}`);
    tensors.set(name, { shape: entry.shape, data: new ArrayType(raw) });
  }
  return tensors;
}
