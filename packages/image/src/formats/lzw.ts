import { broken, truncated } from '../image-header.ts';

const MAX_CODE_BITS = 12;
const MAX_CODES = 1 << MAX_CODE_BITS;

/**
 * Decodes a GIF frame's data: LZW with codes of growing width, least significant bit first, in blocks of up to 255 bytes.
 *
 * @param bytes - The whole file.
 * @param dataOffset - Of the code size, which the blocks follow.
 * @param count - How many indices the frame has; what follows them is not looked at.
 * @throws {ImageError} when the data ends first, or has a code that was never defined.
 *
 * Source: GIF89a, appendix F.
 */
export function decodeLzw(bytes: Uint8Array, dataOffset: number, count: number, where: string): Uint8Array {
  const rootBits = bytes[dataOffset] ?? 0;
  if (rootBits < 1 || rootBits > 8) throw broken(where, 'GIF', `its LZW code size is ${rootBits}, not 1 to 8`);
  const clear = 1 << rootBits;
  const end = clear + 1;
  const strings = new StringTable(rootBits);
  const codes = new CodeReader(bytes, dataOffset + 1);
  const out = new Uint8Array(count);
  let filled = 0;
  let previous: number | undefined;
  while (filled < count) {
    const code = codes.read(strings.codeBits);
    if (code === undefined || code === end) throw truncated(where, 'GIF', `its data has ${filled} of ${count} pixels`);
    if (code === clear) {
      strings.reset();
      previous = undefined;
      continue;
    }
    const isDefined = code < clear || (previous !== undefined && code < strings.next);
    if (!isDefined && (previous === undefined || code !== strings.next)) {
      throw broken(where, 'GIF', `LZW code ${code} at pixel ${filled} was never defined`);
    }
    // A code may use the string that it itself defines: the previous one, and then that one's first index again.
    if (previous !== undefined) strings.define(previous, isDefined ? code : previous);
    if (code >= strings.next) throw broken(where, 'GIF', `LZW code ${code} at pixel ${filled} is beyond the full table`);
    filled += strings.write(code, out, filled);
    previous = code;
  }
  return out;
}

/** Each code is an earlier code and one index more. */
class StringTable {
  /** The code that will be defined next. */
  next = 0;
  codeBits = 0;
  readonly #rootBits: number;
  readonly #prefixes = new Uint16Array(MAX_CODES);
  readonly #lasts = new Uint8Array(MAX_CODES);
  readonly #firsts = new Uint8Array(MAX_CODES);
  readonly #lengths = new Uint16Array(MAX_CODES).fill(1);

  constructor(rootBits: number) {
    this.#rootBits = rootBits;
    for (let index = 0; index < 1 << rootBits; index++) this.#lasts[index] = this.#firsts[index] = index;
    this.reset();
  }

  reset(): void {
    this.next = (1 << this.#rootBits) + 2; // after the clear and end codes
    this.codeBits = this.#rootBits + 1;
  }

  /** Defines the next code as `prefix` and the first index of `follower`. A full table stays as it is until it is cleared. */
  define(prefix: number, follower: number): void {
    if (this.next === MAX_CODES) return;
    this.#prefixes[this.next] = prefix;
    this.#lasts[this.next] = this.#firsts[follower]!;
    this.#firsts[this.next] = this.#firsts[prefix]!;
    this.#lengths[this.next] = this.#lengths[prefix]! + 1;
    this.next++;
    if (this.next === 1 << this.codeBits && this.codeBits < MAX_CODE_BITS) this.codeBits++;
  }

  /** Writes a code's string, last index first; what does not fit is lost. @returns the string's length. */
  write(code: number, out: Uint8Array, at: number): number {
    const length = this.#lengths[code]!;
    let rest = code;
    for (let to = at + length - 1; to >= at; to--) {
      out[to] = this.#lasts[rest]!;
      rest = this.#prefixes[rest]!;
    }
    return length;
  }
}

/** Bits out of data blocks: a length byte and as many bytes, until a length of 0. */
class CodeReader {
  readonly #bytes: Uint8Array;
  #at: number;
  #leftInBlock = 0;
  #bits = 0;
  #bitCount = 0;

  constructor(bytes: Uint8Array, firstBlock: number) {
    this.#bytes = bytes;
    this.#at = firstBlock;
  }

  /** @returns `undefined` at the end of the data or of the file. */
  read(width: number): number | undefined {
    while (this.#bitCount < width) {
      if (this.#leftInBlock === 0) {
        this.#leftInBlock = this.#bytes[this.#at++] ?? 0;
        if (this.#leftInBlock === 0) return undefined;
      }
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return undefined;
      this.#leftInBlock--;
      this.#bits |= byte << this.#bitCount;
      this.#bitCount += 8;
    }
    const code = this.#bits & ((1 << width) - 1);
    this.#bits >>= width;
    this.#bitCount -= width;
    return code;
  }
}
