import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tensorBoardLogger } from './tensorboard.ts';
import { encodeEvent } from './tensorboard-events.ts';
import { crc32c, encodeTfRecord } from './tfrecord.ts';

/** CRC bit by bit, as the polynomial is defined: no table, no reflection of the algorithm under test. */
function slowCrc(bytes: Uint8Array, polynomial: number): number {
  const reverse = (value: number, bits: number): bigint =>
    BigInt(`0b${(value >>> 0).toString(2).padStart(32, '0').slice(-bits).split('').toReversed().join('')}`);
  let register = 0xffffffffn;
  for (const byte of bytes) {
    register ^= reverse(byte, 8) << 24n;
    for (let bit = 0; bit < 8; bit++) {
      register = register & 0x80000000n ? ((register << 1n) ^ BigInt(polynomial)) & 0xffffffffn : (register << 1n) & 0xffffffffn;
    }
  }
  return Number(reverse(Number(register ^ 0xffffffffn), 32));
}

/** The records of a file; every checksum is compared with the slow one. */
function decodeRecords(file: Uint8Array): Uint8Array[] {
  const records: Uint8Array[] = [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const unmasked = (stored: number): number => {
    const rotated = Number((BigInt(stored) - 0xa282ead8n) & 0xffffffffn);
    return ((rotated << 15) | (rotated >>> 17)) >>> 0;
  };
  for (let at = 0; at < file.length;) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmasked(view.getUint32(at + 8, true))).toBe(slowCrc(file.subarray(at, at + 8), 0x1edc6f41));
    expect(unmasked(view.getUint32(at + 12 + length, true))).toBe(slowCrc(data, 0x1edc6f41));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

type Fields = Map<number, (number | bigint | Uint8Array)[]>;

/** Any protocol buffer, without knowing its fields: a second reading of the specification. */
function decodeMessage(bytes: Uint8Array): Fields {
  const fields: Fields = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const readVarint = (): bigint => {
    for (let value = 0n, shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const readers: Record<number, () => number | bigint | Uint8Array> = {
    0: readVarint,
    1: () => view.getFloat64((at += 8) - 8, true),
    2: () => {
      const length = Number(readVarint());
      return bytes.subarray(at, (at += length));
    },
    5: () => view.getFloat32((at += 4) - 4, true),
  };
  while (at < bytes.length) {
    const key = Number(readVarint());
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), readers[key & 7]!()]);
  }
  expect(at).toBe(bytes.length);
  return fields;
}

/** An event in plain words. */
function describeEvent(bytes: Uint8Array): Record<string, unknown> {
  const event = decodeMessage(bytes);
  const text = (value: unknown): string => new TextDecoder().decode(value as Uint8Array);
  const described: Record<string, unknown> = { time: event.get(1)![0] };
  if (event.has(2)) described['step'] = Number(event.get(2)![0]);
  if (event.has(3)) described['version'] = text(event.get(3)![0]);
  if (event.has(7)) described['status'] = Number(decodeMessage(event.get(7)![0] as Uint8Array).get(1)![0]);
  if (event.has(5)) {
    const values = decodeMessage(event.get(5)![0] as Uint8Array).get(1) ?? [];
    described['scalars'] = Object.fromEntries(
      values.map((value) => {
        const fields = decodeMessage(value as Uint8Array);
        return [text(fields.get(1)![0]), fields.get(2)![0]];
      }),
    );
  }
  return described;
}

describe('crc32c', () => {
  it('has the values of RFC 3720', () => {
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
  });

  it('equals the definition, which with the other polynomial equals the CRC of zlib', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(crc32c(bytes)).toBe(slowCrc(bytes, 0x1edc6f41));
        expect(slowCrc(bytes, 0x04c11db7)).toBe(crc32(bytes));
      }),
    );
  });
});

it('events come back from a decoder that does not know them', () => {
  const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 });
  const scalars = fc.dictionary(names, fc.float(), { maxKeys: 5, noNullPrototype: true });
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 40 }), fc.nat({ max: 2e12 }), scalars, (step, timeMs, values) => {
      const [bytes] = decodeRecords(encodeTfRecord(encodeEvent({ kind: 'scalars', step, timeMs, scalars: values })));
      expect(describeEvent(bytes!)).toEqual({ time: timeMs / 1000, step, scalars: values });
    }),
  );
});

describe('tensorBoardLogger', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'blip2-tensorboard-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('writes a file a run, in order, and marks where a run goes on', async () => {
    for (const begin of [0, 10]) {
      const logger = tensorBoardLogger(join(folder, 'events'));
      await logger.begin!(begin);
      await logger.log!({ kind: 'training', step: begin + 5, timeMs: 2000, values: { loss: 0.5, learningRate: 2 ** -10 } });
      await logger.log!({ kind: 'evaluation', step: begin + 5, timeMs: 2500, values: { loss: Number.NaN } });
      await logger.flush!();
      await logger.close!('complete');
    }
    const files = (await readdir(join(folder, 'events'))).toSorted();
    expect(files).toHaveLength(2);
    for (const name of files) expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\.\d{3}\.blip2$/);
    const [first, second] = await Promise.all(
      files.map(async (name) => decodeRecords(await readFile(join(folder, 'events', name))).map(describeEvent)),
    );
    const time = expect.any(Number) as number;
    expect(first).toEqual([
      { time, version: 'brain.Event:2' },
      { time: 2, step: 5, scalars: { 'training/loss': 0.5, 'training/learningRate': 2 ** -10 } },
      { time: 2.5, step: 5, scalars: { 'evaluation/loss': Number.NaN } },
    ]);
    expect(second!.slice(0, 2)).toEqual([
      { time, version: 'brain.Event:2' },
      { time, step: 11, status: 1 },
    ]);
  });
});
