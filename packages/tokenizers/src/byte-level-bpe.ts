/**
 * Byte-pair encoding over the bytes of UTF-8, as in GPT-2 and OPT. Each byte is written as one visible character (a
 * space as Ġ), so that pieces are strings.
 *
 * Source: GPT-2 `encoder.py`; Hugging Face tokenizers, `pre_tokenizers/byte_level.rs` and `models/bpe/word.rs`.
 */

/** Contractions, then letters, numbers or other signs with one space before them, then white space. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The character that stands for each byte: itself where it is visible in Latin-1, one from U+0100 on elsewhere. */
export const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  return String.fromCharCode(isVisible(byte) ? byte : 256 + countInvisible(byte));
});

const CHARACTER_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

function isVisible(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

function countInvisible(below: number): number {
  let count = 0;
  for (let byte = 0; byte < below; byte++) if (!isVisible(byte)) count++;
  return count;
}

/** Splits a text as GPT-2 does; the words together are the text. */
export function splitGpt2Words(text: string, addPrefixSpace: boolean): string[] {
  return (addPrefixSpace && !text.startsWith(' ') ? ` ${text}` : text).match(WORDS) ?? [];
}

/** The bytes of a piece. A piece that holds a character that stands for no byte is an added token: its UTF-8. */
export function pieceBytes(piece: string): number[] | Uint8Array {
  const bytes: number[] = [];
  for (const character of piece) {
    const byte = CHARACTER_BYTES.get(character);
    if (byte === undefined) return new TextEncoder().encode(piece);
    bytes.push(byte);
  }
  return bytes;
}

/** Words kept with their ids; speech repeats itself. */
const CACHE_SIZE = 10_000;
const CACHED_WORD_LENGTH = 64;

interface Merge {
  /** The lower, the earlier. */
  readonly rank: number;
  readonly id: number;
}

/** Joins the bytes of a word pair by pair, in the order of a list of merges. */
export class ByteLevelBpeModel {
  readonly #byteIds: readonly (number | undefined)[];
  readonly #merges: ReadonlyMap<number, Merge>;
  /** A pair's key in the merges is left · stride + right. */
  readonly #stride: number;
  readonly #cache: Map<string, readonly number[]> = new Map();
  readonly #encoder: TextEncoder = new TextEncoder();

  /**
   * @param merges - Pairs of pieces, the earliest first.
   * @param onMissing - Called when a merge's piece is not in the vocabulary.
   */
  constructor(
    vocab: ReadonlyMap<string, number>,
    merges: readonly (readonly [string, string])[],
    onMissing: (piece: string, rank: number) => never,
  ) {
    let highest = 0;
    for (const id of vocab.values()) highest = Math.max(highest, id);
    this.#stride = highest + 1;
    this.#byteIds = BYTE_CHARACTERS.map((character) => vocab.get(character));
    this.#merges = new Map(
      merges.map(([left, right], rank) => {
        const idOf = (piece: string): number => vocab.get(piece) ?? onMissing(piece, rank);
        return [idOf(left) * this.#stride + idOf(right), { rank, id: idOf(left + right) }];
      }),
    );
  }

  /** The ids of a word. A byte that is not in the vocabulary is left out, as in the reference. */
  encode(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known !== undefined) return known;
    const bytes = this.#encoder.encode(word);
    const ids = this.#mergeAll(Array.from(bytes, (byte) => this.#byteIds[byte]).filter((id) => id !== undefined));
    if (word.length <= CACHED_WORD_LENGTH) {
      if (this.#cache.size === CACHE_SIZE) this.#cache.clear();
      this.#cache.set(word, ids);
    }
    return ids;
  }

  /**
   * Applies merges, the earliest first and among equal ones the leftmost, until none is left.
   *
   * A heap of possible merges over a linked list: O(n log n), so that a million equal letters end, too.
   */
  #mergeAll(ids: number[]): number[] {
    const count = ids.length;
    const next = Int32Array.from(ids, (_, at) => at + 1); // count means none
    const previous = Int32Array.from(ids, (_, at) => at - 1); // −1 means none
    const alive = new Uint8Array(count).fill(1);
    const heap = new MergeHeap();
    const consider = (at: number): void => {
      const right = at < 0 ? count : next[at]!;
      if (right >= count) return;
      const merge = this.#merges.get(ids[at]! * this.#stride + ids[right]!);
      if (merge !== undefined) heap.push(merge.rank, at);
    };
    for (let at = 0; at + 1 < count; at++) consider(at);
    for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
      const { rank, at } = top;
      const right = next[at]!;
      if (alive[at] === 0 || right >= count) continue;
      const merge = this.#merges.get(ids[at]! * this.#stride + ids[right]!);
      if (merge?.rank !== rank) continue; // a neighbour was merged since
      ids[at] = merge.id;
      alive[right] = 0;
      next[at] = next[right]!;
      if (next[at]! < count) previous[next[at]!] = at;
      consider(previous[at]!);
      consider(at);
    }
    return ids.filter((_, at) => alive[at] === 1);
  }
}

/** A binary heap of merges by rank, then by place. */
class MergeHeap {
  readonly #ranks: number[] = [];
  readonly #places: number[] = [];

  push(rank: number, place: number): void {
    let at = this.#ranks.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(rank, place, parent)) break;
      this.#ranks[at] = this.#ranks[parent]!;
      this.#places[at] = this.#places[parent]!;
      at = parent;
    }
    this.#ranks[at] = rank;
    this.#places[at] = place;
  }

  pop(): { rank: number; at: number } | undefined {
    if (this.#ranks.length === 0) return undefined;
    const top = { rank: this.#ranks[0]!, at: this.#places[0]! };
    const rank = this.#ranks.pop()!;
    const place = this.#places.pop()!;
    const size = this.#ranks.length;
    if (size === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(this.#ranks[child + 1]!, this.#places[child + 1]!, child)) child++;
      if (this.#isBefore(rank, place, child)) break;
      this.#ranks[at] = this.#ranks[child]!;
      this.#places[at] = this.#places[child]!;
      at = child;
    }
    this.#ranks[at] = rank;
    this.#places[at] = place;
    return top;
  }

  #isBefore(rank: number, place: number, other: number): boolean {
    const difference = rank - this.#ranks[other]!;
    return difference < 0 || (difference === 0 && place < this.#places[other]!);
  }
}
