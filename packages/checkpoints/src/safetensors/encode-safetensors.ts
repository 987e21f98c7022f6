import { DTYPE_BYTES, InputError, ShapeError, sizeOf, type WeightDtype } from '@blip2/core';
import { quote } from '../json/parse-json.ts';
import { encodeValues } from './values.ts';

/** A tensor to be stored. */
export interface TensorData {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly values: ArrayLike<number>;
  /** Format in the file. @default 'I32' for an `Int32Array`, 'U8' for a `Uint8Array`, else 'F32' */
  readonly dtype?: WeightDtype;
}

/** Name, format and shape of a tensor in a file. */
export interface TensorDescription {
  readonly name: string;
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  /** Of its first byte in the file; its length must be a multiple of it. @default the element size */
  readonly alignment?: number;
}

/** Where everything of a file to be written goes. */
export interface SafetensorsLayout<Tensor extends TensorDescription> {
  /** Length prefix and header, padded to a multiple of eight bytes. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** In the order of the data: wide formats first, so that each tensor starts at a multiple of its element size. */
  readonly tensors: readonly Tensor[];
  /** Of the whole file. */
  readonly sizeBytes: number;
}

/**
 * A safetensors file in memory.
 *
 * @param tensors - By name. Floats are rounded to nearest, ties to even.
 * @param options.metadata - The header's `__metadata__`. @default { format: 'pt' }, which other libraries look for
 * @returns the file's bytes, the caller's.
 * @throws {ShapeError} when a tensor's values do not fill its shape.
 * @throws {InputError} for a value that its integer dtype cannot hold.
 *
 * @example
 * const bytes = encodeSafetensors({ bias: { shape: [2], values: new Float32Array([0.5, -0.5]), dtype: 'F16' } });
 *
 * Source: https://github.com/huggingface/safetensors, README, section "Format".
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorData>>,
  options: { readonly metadata?: Readonly<Record<string, string>> } = {},
): Uint8Array<ArrayBuffer> {
  const described = Object.entries(tensors).map(([name, { shape, values, dtype = naturalDtype(values) }]) => {
    assertFilled(name, shape, values.length);
    return { name, dtype, shape, values };
  });
  const layout = layOutSafetensors(described, options.metadata);
  const file = new Uint8Array(layout.sizeBytes);
  file.set(layout.head);
  let offset = layout.head.length;
  for (const { name, dtype, values } of layout.tensors) {
    const bytes = encodeValues(values, dtype, name);
    file.set(bytes, offset);
    offset += bytes.length;
  }
  return file;
}

/**
 * Plans a file: order and header. Used by the writers, which differ only in where the bytes go.
 *
 * @throws {InputError} for a name that the format or readers refuse, or that comes twice.
 */
export function layOutSafetensors<Tensor extends TensorDescription>(
  tensors: readonly Tensor[],
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): SafetensorsLayout<Tensor> {
  const alignmentOf = ({ alignment, dtype }: Tensor): number => alignment ?? DTYPE_BYTES[dtype];
  const inOrder = tensors.toSorted((a, b) => alignmentOf(b) - alignmentOf(a));
  const entries: [string, unknown][] = [['__metadata__', metadata]];
  const names = new Set(['__metadata__', '__proto__', 'constructor', 'prototype']);
  let offset = 0;
  for (const { name, dtype, shape } of inOrder) {
    if (names.has(name)) {
      throw new InputError(`Storing tensors: the name ${quote(name)} comes twice or is reserved. Give each tensor its own name.`);
    }
    names.add(name);
    const end = offset + storedBytes({ dtype, shape });
    entries.push([name, { dtype, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const head = encodeHead(JSON.stringify(Object.fromEntries(entries)));
  return { head, tensors: inOrder, sizeBytes: head.length + offset };
}

/** Bytes of a tensor's values in a file. */
export function storedBytes({ dtype, shape }: { readonly dtype: WeightDtype; readonly shape: readonly number[] }): number {
  return sizeOf(shape) * DTYPE_BYTES[dtype];
}

/** @throws {ShapeError} when there are more or fewer values than the shape has elements. */
export function assertFilled(name: string, shape: readonly number[], length: number): void {
  if (sizeOf(shape) === length) return;
  const message =
    `Storing tensors: ${quote(name)} has ${length} values, but its shape [${shape.join(', ')}] needs ${sizeOf(shape)}. ` +
    `Pass all values, row-major, or correct the shape.`;
  throw new ShapeError(message, [length], shape);
}

function encodeHead(json: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const head = new Uint8Array(8 + length).fill(0x20, 8 + text.length); // padded with spaces
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, 8);
  return head;
}

/** The format that values get when none is asked for. */
export function naturalDtype(values: ArrayLike<number>): WeightDtype {
  if (values instanceof Int32Array) return 'I32';
  return values instanceof Uint8Array ? 'U8' : 'F32';
}
