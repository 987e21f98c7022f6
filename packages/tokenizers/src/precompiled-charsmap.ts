import { ConfigError } from '@blip2/core';

/**
 * The character map of a SentencePiece model: replacements for characters and short sequences, mostly NFKC, compiled
 * into a double-array trie over UTF-8.
 *
 * Layout: byte length of the trie (uint32, little-endian), its units (uint32 each), then the replacements, each ended by
 * a zero byte. A trie value is a replacement's byte offset.
 *
 * Source: SentencePiece `normalizer.cc`, Darts-clone; the rules of use are those of Hugging Face's `spm_precompiled`.
 */
export class PrecompiledCharsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #graphemes: Intl.Segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });
  readonly #encoder: TextEncoder = new TextEncoder();
  readonly #decoder: TextDecoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #known: Map<string, string | undefined> = new Map();
  readonly #keepsAscii: boolean;

  /** @param where - File and field, for messages. */
  constructor(bytes: Uint8Array, where: string) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const trieBytes = bytes.length >= 4 ? view.getUint32(0, true) : 0;
    if (trieBytes === 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
      const found = `${bytes.length} bytes that announce a trie of ${trieBytes}`;
      const expected = 'a SentencePiece character map, whose trie is a multiple of 4 bytes and fits';
      throw new ConfigError(`${where}: found ${found}, expected ${expected}. Use the file of the checkpoint, unchanged.`);
    }
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, index) => view.getUint32(4 + 4 * index, true));
    this.#replacements = bytes.subarray(4 + trieBytes);
    this.#keepsAscii = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index)).every((character) => {
      return (this.#lookUp(character) ?? character) === character;
    });
  }

  /**
   * Replaces what the map knows. A grapheme of up to five bytes is looked up as a whole first, then character by
   * character.
   */
  normalize(text: string): string {
    // Finding graphemes is slow; visible ASCII characters are graphemes of their own.
    if (this.#keepsAscii && /^[ -~]*$/.test(text)) return text;
    let result = '';
    for (const { segment } of this.#graphemes.segment(text)) result += this.#normalizeGrapheme(segment);
    return result;
  }

  #normalizeGrapheme(grapheme: string): string {
    const whole = this.#lookUp(grapheme);
    if (whole !== undefined) return whole;
    let result = '';
    for (const character of grapheme) result += this.#lookUp(character) ?? character;
    return result;
  }

  #lookUp(chunk: string): string | undefined {
    if (this.#known.has(chunk)) return this.#known.get(chunk);
    const bytes = this.#encoder.encode(chunk);
    const isLong = bytes.length >= 6 && [...chunk].length > 1;
    const replacement = isLong ? undefined : this.#replacementOf(bytes);
    if (this.#known.size > 10_000) this.#known.clear();
    this.#known.set(chunk, replacement);
    return replacement;
  }

  /** The replacement of the shortest prefix that has one; it stands for all the bytes, as in the reference. */
  #replacementOf(bytes: Uint8Array): string | undefined {
    const units = this.#units;
    let at = offsetOf(units[0]!);
    for (const byte of bytes) {
      if (byte === 0) return undefined;
      at ^= byte;
      const unit = units[at];
      // A unit's label is the byte that leads to it; the sign bit marks a value.
      if (unit === undefined || (unit & 0x8000_00ff) !== byte) return undefined;
      at ^= offsetOf(unit);
      if (((unit >>> 8) & 1) === 1) return this.#replacementAt(units[at]! & 0x7fff_ffff);
    }
    return undefined;
  }

  #replacementAt(begin: number): string {
    const end = this.#replacements.indexOf(0, begin);
    return this.#decoder.decode(this.#replacements.subarray(begin, end < 0 ? undefined : end));
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
