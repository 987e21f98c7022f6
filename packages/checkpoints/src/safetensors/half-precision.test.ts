import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBfloat16, decodeFloat16, encodeBfloat16, encodeFloat16 } from './half-precision.ts';

const ALL_HALVES = Uint16Array.from({ length: 0x1_0000 }, (_, index) => index);

/** The value of 16 bits by the definition of the format, not by the code under test. */
function valueByDefinition(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits >>> 15 === 0 ? 1 : -1;
  const exponent = (bits >>> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

test.each([
  { name: 'float16', decode: decodeFloat16, exponentBits: 5, fractionBits: 10 },
  { name: 'bfloat16', decode: decodeBfloat16, exponentBits: 8, fractionBits: 7 },
])('$name: all 65,536 values decode to what the format says', ({ decode, exponentBits, fractionBits }) => {
  const values = new Float32Array(ALL_HALVES.length);
  decode(ALL_HALVES, values);
  const wrong = ALL_HALVES.filter((bits) => !Object.is(values[bits], valueByDefinition(bits, exponentBits, fractionBits)));
  expect([...wrong]).toEqual([]);
});

test.each([
  { name: 'float16', decode: decodeFloat16, encode: encodeFloat16 },
  { name: 'bfloat16', decode: decodeBfloat16, encode: encodeBfloat16 },
])('$name: all 65,536 values come back with the same bits; a NaN comes back as a NaN', ({ decode, encode }) => {
  const values = new Float32Array(ALL_HALVES.length);
  decode(ALL_HALVES, values);
  const encoded = new Uint16Array(ALL_HALVES.length);
  encode(values, encoded);
  const again = new Float32Array(ALL_HALVES.length);
  decode(encoded, again);
  const wrong = ALL_HALVES.filter((bits) => (Number.isNaN(values[bits]) ? !Number.isNaN(again[bits]) : encoded[bits] !== bits));
  expect([...wrong]).toEqual([]);
});

/** Rounding to nearest, ties to even, by looking at both neighbours. */
function nearest(value: number, decode: typeof decodeFloat16): number {
  const values = new Float32Array(0x8000);
  decode(ALL_HALVES.subarray(0, 0x8000), values); // ascending up to infinity, then NaN
  const magnitude = Math.abs(value);
  let above = values.findIndex((candidate) => candidate >= magnitude);
  if (values[above] === magnitude || above === 0) return above;
  const below = above - 1;
  // The step that would follow the largest finite value stands for infinity.
  const upper = values[above] === Infinity ? values[below]! + (values[below]! - values[below - 1]!) : values[above]!;
  const [toBelow, toAbove] = [magnitude - values[below]!, upper - magnitude];
  if (toBelow === toAbove) above = below % 2 === 0 ? below : above;
  else if (toBelow < toAbove) above = below;
  return above;
}

const anyFloat = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ noNaN: true, min: Math.fround(-1.2e-4), max: Math.fround(1.2e-4) }), // around float16's subnormals
  fc.float({ noNaN: true, min: 60000, max: 70000 }), // around its largest value
  // Exactly between two float16 values, or two bfloat16 values.
  fc.tuple(fc.integer({ min: 0, max: 0x7bff }), fc.boolean()).map(([bits, negative]) => {
    const pair = new Float32Array(2);
    decodeFloat16(Uint16Array.of(bits, bits + 1), pair);
    const middle = pair[1] === Infinity ? 65520 : (pair[0]! + pair[1]!) / 2;
    return negative ? -middle : middle;
  }),
  fc.integer({ min: 0, max: 0x7f7e }).map((bits) => new Float32Array(Uint32Array.of((bits << 16) | 0x8000).buffer)[0]!),
);

test.each([
  { name: 'float16', decode: decodeFloat16, encode: encodeFloat16 },
  { name: 'bfloat16', decode: decodeBfloat16, encode: encodeBfloat16 },
])('$name: rounding is to nearest, ties to even', ({ decode, encode }) => {
  fc.assert(
    fc.property(anyFloat, (value) => {
      const encoded = new Uint16Array(1);
      encode(Float32Array.of(value), encoded);
      expect(encoded[0]! & 0x7fff).toBe(nearest(value, decode));
      expect(encoded[0]! >>> 15).toBe(value < 0 || Object.is(value, -0) ? 1 : 0);
    }),
    { numRuns: 300 },
  );
});

test.runIf('Float16Array' in globalThis)('float16: a million random bit patterns agree with the engine', () => {
  const bits = new Uint32Array(1_000_000);
  let state = 12345;
  for (let index = 0; index < bits.length; index++) bits[index] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const values = new Float32Array(bits.buffer);
  const encoded = new Uint16Array(values.length);
  encodeFloat16(values, encoded);
  const native = new Uint16Array(new globalThis.Float16Array(values).buffer);
  const wrong = bits.findIndex((_, index) => !Number.isNaN(values[index]) && encoded[index] !== native[index]);
  expect(wrong).toBe(-1);
});

test('views into larger buffers are converted in place', () => {
  const buffer = new Float32Array([9, 9, 0, 0, 9]);
  decodeFloat16(Uint16Array.of(0x3c00, 0xc000), buffer.subarray(2, 4));
  expect([...buffer]).toEqual([9, 9, 1, -2, 9]);
  const halves = Uint16Array.of(7, 7, 7);
  encodeBfloat16(buffer.subarray(2, 3), halves.subarray(1, 2));
  expect([...halves]).toEqual([7, 0x3f80, 7]);
});
