/**
 * Conversions between float32 and the two 16-bit formats of checkpoints.
 *
 * Sources: IEEE 754-2008, binary16; bfloat16 is the upper half of binary32. Rounding is to nearest, ties to even,
 * as in PyTorch (`c10/util/Half.h`, `c10/util/BFloat16.h`).
 *
 * All typed-array views here are in the machine's byte order, which is little-endian, the order of the files, on
 * every platform that JavaScript engines run on.
 */

let float16Table: Float32Array | undefined;

/**
 * Float16 values as float32. A table of all 65,536 answers (256 KiB, made on first use) reads about 1 G values a second in
 * V8 on one 2-core x86-64 cloud machine; bit arithmetic reads 0.5 to 0.7 G and `Float16Array` 0.7 G.
 */
export function decodeFloat16(halves: Uint16Array, values: Float32Array): void {
  const table = (float16Table ??= makeFloat16Table());
  for (let index = 0; index < halves.length; index++) values[index] = table[halves[index]!]!;
}

/** BFloat16 values as float32: the same bits and sixteen zeros. */
export function decodeBfloat16(halves: Uint16Array, values: Float32Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < halves.length; index++) bits[index] = halves[index]! << 16;
}

/** Float32 values rounded to float16. From 65,520 on they become infinite; a NaN stays a NaN. */
export function encodeFloat16(values: Float32Array, halves: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const sign = (bits[index]! >>> 16) & 0x8000;
    const magnitude = bits[index]! & 0x7fff_ffff;
    halves[index] = sign | float16Magnitude(magnitude);
  }
}

/** Float32 values rounded to bfloat16; a NaN stays a NaN. */
export function encodeBfloat16(values: Float32Array, halves: Uint16Array): void {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let index = 0; index < bits.length; index++) {
    const value = bits[index]!;
    const isNaN = (value & 0x7fff_ffff) > 0x7f80_0000;
    // Adding just under half of the last kept bit, and that bit itself, makes the carry round ties to even.
    halves[index] = isNaN ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
}

/** @param magnitude - The bits of a float32 without its sign. */
function float16Magnitude(magnitude: number): number {
  if (magnitude > 0x7f80_0000) return 0x7e00; // NaN
  if (magnitude >= 0x4780_0000) return 0x7c00; // 65,536 and more
  if (magnitude >= 0x3880_0000) {
    // 2^-14 and more: a normal float16. The carry of the rounding may run into the exponent, up to infinity.
    return (magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
  }
  if (magnitude < 0x3300_0000) return 0; // below 2^-25, half of the smallest subnormal
  // A subnormal counts units of 2^-24. The significand, with its hidden bit, is shifted there and rounded.
  const shift = 126 - (magnitude >>> 23);
  const significand = (magnitude & 0x7f_ffff) | 0x80_0000;
  const quotient = significand >>> shift;
  const remainder = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return quotient + (remainder > half || (remainder === half && (quotient & 1) === 1) ? 1 : 0);
}

function makeFloat16Table(): Float32Array {
  return Float32Array.from({ length: 0x1_0000 }, (_, half) => {
    const sign = (half & 0x8000) === 0 ? 1 : -1;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}
