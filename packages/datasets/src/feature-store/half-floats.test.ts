import { decodeFloat16, encodeFloat16 } from '@blip2/checkpoints';
import { describe, expect, it, vi } from 'vitest';

const ALL = Uint16Array.from({ length: 0x1_0000 }, (_, half) => half);

/** As Node 24 and later run it, and as Node 22 does. */
async function load(hasFloat16Array: boolean): Promise<typeof import('./half-floats.ts')> {
  vi.resetModules();
  if (!hasFloat16Array) vi.stubGlobal('Float16Array', undefined);
  const loaded = await import('./half-floats.ts');
  vi.unstubAllGlobals();
  return loaded;
}

describe.each([true, false])('where Float16Array is there: %s', async (hasFloat16Array) => {
  const { readHalves, writeHalves } = await load(hasFloat16Array);

  it('reads every float16 as the table of checkpoints does', () => {
    const [found, expected] = [new Float32Array(ALL.length), new Float32Array(ALL.length)];
    readHalves(new Uint8Array(ALL.buffer), found);
    decodeFloat16(ALL, expected);
    expect(found).toEqual(expected);
  });

  it('rounds as checkpoints do: at every float16, between all neighbours, and just beside', () => {
    const exact = new Float32Array(0x7c00);
    decodeFloat16(ALL.subarray(0, exact.length), exact);
    const values: number[] = [];
    for (const [index, value] of exact.entries()) {
      const middle = (value + (exact[index + 1] ?? 65_504)) / 2; // exact in float32
      for (const one of [value, middle, middle * (1 + 2 ** -22), middle * (1 - 2 ** -22)]) values.push(one, -one);
    }
    const floats = Float32Array.from(values);
    const [found, expected] = [new Uint16Array(floats.length), new Uint16Array(floats.length)];
    writeHalves(floats, new Uint8Array(found.buffer));
    encodeFloat16(floats, expected);
    expect(found).toEqual(expected);
  });
});
