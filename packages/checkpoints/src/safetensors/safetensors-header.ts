import { CheckpointError, DTYPE_BYTES, type WeightDtype } from '@blip2/core';
import type { ByteSource, ReadOptions } from '../bytes/byte-source.ts';
import { decodeUtf8, parseJsonText, quote } from '../json/parse-json.ts';

/** One tensor as the header describes it, checked. */
export interface TensorEntry {
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  /** Offset in the file, not in its data part. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A safetensors header that has been checked against its file. */
export interface SafetensorsHeader {
  /** The `__metadata__` map; `format: 'pt'` in most files. */
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** The reference implementation's limit. A header of a model with 10,000 tensors takes about 1.5 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length as a little-endian 64-bit integer. */
const PREFIX_BYTES = 8;

/** Names that turn into a prototype when a program copies them into a plain object. */
const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Reads and checks the header of a safetensors file. Nothing of the data is read.
 *
 * @returns names, dtypes, shapes and absolute byte ranges; every range lies in the file, none overlaps another,
 *   together they cover the data, and each has the length that its dtype and shape need.
 * @throws {CheckpointError} for the first rule of the format that the file breaks.
 *
 * Source: https://github.com/huggingface/safetensors, README, section "Format"; `safetensors/src/tensor.rs`.
 */
export async function readSafetensorsHeader(source: ByteSource, options: ReadOptions = {}): Promise<SafetensorsHeader> {
  const fail = failureIn(source.name);
  if (source.size < PREFIX_BYTES) {
    throw fail(`the file has ${source.size} bytes, but the header's length alone takes ${PREFIX_BYTES}`);
  }
  const prefix = await source.read(0, PREFIX_BYTES, options);
  const headerLength = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const available = source.size - PREFIX_BYTES;
  if (headerLength > MAX_HEADER_BYTES) {
    throw fail(`the header would have ${headerLength} bytes, more than the limit of ${MAX_HEADER_BYTES}`, NOT_SAFETENSORS);
  }
  if (headerLength > available) {
    throw fail(`the header would have ${headerLength} bytes, but only ${available} follow its length`);
  }
  const length = Number(headerLength);
  const text = decodeUtf8(await source.read(PREFIX_BYTES, length, options));
  if (text === undefined) throw fail('the header is not UTF-8 text', NOT_SAFETENSORS);
  if (!text.startsWith('{')) throw fail(`the header begins with ${quote(text.slice(0, 12))}, expected '{'`, NOT_SAFETENSORS);
  return parseHeader(text, PREFIX_BYTES + length, source.size, fail);
}

type Failure = (problem: string, cure?: string) => CheckpointError;

const DAMAGED = 'The file is damaged or was not copied to its end; fetch it again.';
const NOT_SAFETENSORS = 'Check that this is a safetensors file and not, for example, a Git LFS pointer or an HTML page.';
const WRITTEN_WRONGLY = 'The program that wrote the file made a mistake; write it again with a current safetensors library.';

function failureIn(file: string): Failure {
  return (problem, cure = DAMAGED) => new CheckpointError(`${file}: not a valid safetensors file: ${problem}. ${cure}`, file);
}

function parseHeader(text: string, dataOffset: number, fileSize: number, fail: Failure): SafetensorsHeader {
  const parsed = parseJsonText(text, { refuseDuplicates: true });
  if ('problem' in parsed) throw fail(`the header ${parsed.problem}`);
  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of Object.entries(parsed.value as object)) {
    if (FORBIDDEN_NAMES.has(name)) throw fail(`a tensor has the forbidden name ${quote(name)}`, WRITTEN_WRONGLY);
    if (name === '__metadata__') for (const pair of metadataEntries(entry, fail)) metadata.set(...pair);
    else tensors.set(name, tensorEntry(name, entry, dataOffset, fileSize, fail));
  }
  checkCoverage(tensors, dataOffset, fileSize, fail);
  return { metadata, tensors };
}

function metadataEntries(entry: unknown, fail: Failure): [string, string][] {
  if (!isRecord(entry)) throw fail(`__metadata__ is ${describe(entry)}, expected an object of strings`, WRITTEN_WRONGLY);
  return Object.entries(entry).map(([key, value]) => {
    if (typeof value !== 'string') throw fail(`__metadata__.${key} is ${describe(value)}, expected a string`, WRITTEN_WRONGLY);
    return [key, value];
  });
}

function tensorEntry(name: string, entry: unknown, dataOffset: number, fileSize: number, fail: Failure): TensorEntry {
  const where = `tensor ${quote(name)}`;
  if (!isRecord(entry)) throw fail(`${where} is ${describe(entry)}, expected an object`, WRITTEN_WRONGLY);
  const dtype = own(entry, 'dtype');
  if (!isDtype(dtype)) {
    const known = Object.keys(DTYPE_BYTES).join(', ');
    const cure = 'Convert the checkpoint to one of these, for example with save_pretrained after .to(torch.float16).';
    throw fail(`${where} has dtype ${describe(dtype)}, expected one of ${known}`, cure);
  }
  const shape = own(entry, 'shape');
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw fail(`${where} has shape ${describe(shape)}, expected a list of whole numbers, 0 or more`, WRITTEN_WRONGLY);
  }
  const byteLength = product([...shape, DTYPE_BYTES[dtype]]);
  if (byteLength === undefined) {
    throw fail(`${where} has shape ${describe(shape)}, which is more than 2^53 bytes`, WRITTEN_WRONGLY);
  }
  const offsets = own(entry, 'data_offsets');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw fail(`${where} has data_offsets ${describe(offsets)}, expected two whole numbers, 0 or more`, WRITTEN_WRONGLY);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw fail(`${where} begins at byte ${begin} of the data and ends before that, at ${end}`, WRITTEN_WRONGLY);
  const dataLength = fileSize - dataOffset;
  if (end > dataLength) throw fail(`${where} ends at byte ${end} of the data, but the file has only ${dataLength} bytes of data`);
  if (end - begin !== byteLength) {
    const needed = `${dtype} ${describe(shape)} needs ${byteLength}`;
    throw fail(`${where} has ${end - begin} bytes, but ${needed}`, WRITTEN_WRONGLY);
  }
  return { dtype, shape, byteOffset: dataOffset + begin, byteLength };
}

/** The tensors must follow one another without a hole or an overlap, from the first data byte to the file's last. */
function checkCoverage(tensors: ReadonlyMap<string, TensorEntry>, dataOffset: number, fileSize: number, fail: Failure): void {
  const inOrder = [...tensors].toSorted(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataOffset;
  let previous = 'the header';
  for (const [name, entry] of inOrder) {
    const gap = entry.byteOffset - end;
    if (gap < 0) throw fail(`tensors ${previous} and ${quote(name)} overlap by ${-gap} bytes`, WRITTEN_WRONGLY);
    if (gap > 0) throw fail(`${gap} bytes between ${previous} and ${quote(name)} belong to no tensor`, WRITTEN_WRONGLY);
    end = entry.byteOffset + entry.byteLength;
    previous = quote(name);
  }
  if (end < fileSize) {
    throw fail(
      `${fileSize - end} bytes after the last tensor belong to none`,
      'The file is damaged or two files were joined; fetch it again.',
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A property of the object itself; what it inherits is not in the file. */
function own(record: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function isDtype(value: unknown): value is WeightDtype {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** `undefined` when a partial product leaves the range of exact integers. */
function product(factors: readonly number[]): number | undefined {
  let result = 1;
  for (const factor of factors) {
    result *= factor;
    if (!Number.isSafeInteger(result)) return undefined;
  }
  return result;
}

/** A JSON value as it may stand in a message. */
function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  return typeof value === 'string' ? quote(value) : quote(JSON.stringify(value)).slice(1, -1);
}
