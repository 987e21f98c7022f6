/** What an unknown character costs, beyond the least likely piece. Source: SentencePiece `unigram_model.cc`. */
const UNKNOWN_PENALTY = 10;

/** A node of the trie of pieces, by UTF-16 code units. */
interface TrieNode {
  readonly children: Map<number, TrieNode>;
  id: number; // −1 where no piece ends
}

/** Finds the most likely way to cut a text into pieces that each have a log-probability. */
export class UnigramModel {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #scores: Float64Array;
  readonly #unknownId: number;
  readonly #unknownScore: number;
  readonly #trie: TrieNode = { children: new Map(), id: -1 };

  /** @param pieces - By id: the piece and its log-probability. */
  constructor(pieces: readonly (readonly [string, number])[], unknownId: number) {
    this.#ids = new Map(pieces.map(([piece], id) => [piece, id]));
    this.#scores = Float64Array.from(pieces, ([, score]) => score);
    this.#unknownId = unknownId;
    this.#unknownScore =
      this.#scores.reduce((lowest, score) => Math.min(lowest, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
    for (const [piece, id] of this.#ids) this.#insert(piece, id);
  }

  /**
   * The ids of a word. A run of unknown characters is one unknown token.
   *
   * Dynamic programming over the places where a piece may end; the first of equally good ways wins. Linear in the length,
   * times the length of the longest piece.
   */
  encode(word: string): number[] {
    const size = word.length;
    const bestScore = new Float64Array(size + 1); // of the best way to each place
    const bestBegin = new Int32Array(size + 1).fill(-1); // of its last piece
    const bestId = new Int32Array(size + 1);
    const offer = (begin: number, end: number, id: number, pieceScore: number): void => {
      const score = bestScore[begin]! + pieceScore;
      if (bestBegin[end] !== -1 && score <= bestScore[end]!) return;
      bestScore[end] = score;
      bestBegin[end] = begin;
      bestId[end] = id;
    };
    for (let begin = 0; begin < size;) {
      const characterEnd = begin + (word.codePointAt(begin)! > 0xffff ? 2 : 1);
      let isCharacterKnown = false;
      let node: TrieNode | undefined = this.#trie;
      for (let end = begin; end < size;) {
        node = node.children.get(word.charCodeAt(end++));
        if (node === undefined) break;
        if (node.id < 0) continue;
        offer(begin, end, node.id, this.#scores[node.id]!);
        if (end === characterEnd) isCharacterKnown = true;
      }
      if (!isCharacterKnown) offer(begin, characterEnd, this.#unknownId, this.#unknownScore);
      begin = characterEnd;
    }
    return this.#readBack(word, bestBegin, bestId);
  }

  #readBack(word: string, bestBegin: Int32Array, bestId: Int32Array): number[] {
    const ids: number[] = [];
    for (let end = word.length; end > 0;) {
      let begin = bestBegin[end]!;
      if (bestId[end] !== this.#unknownId) {
        ids.push(bestId[end]!);
      } else {
        while (begin > 0 && bestId[begin] === this.#unknownId) begin = bestBegin[begin]!;
        // The reference looks the joined run up once more.
        ids.push(this.#ids.get(word.slice(begin, end)) ?? this.#unknownId);
      }
      end = begin;
    }
    return ids.toReversed();
  }

  #insert(piece: string, id: number): void {
    let node = this.#trie;
    for (let at = 0; at < piece.length; at++) {
      const unit = piece.charCodeAt(at);
      let child = node.children.get(unit);
      if (child === undefined) node.children.set(unit, (child = { children: new Map(), id: -1 }));
      node = child;
    }
    node.id = id;
  }
}

/** The character that stands for a space in pieces. */
export const META_SPACE = '▁';

/** When {@link splitMetaspace} puts a space in front of a text: always, at the very beginning only, or never. */
export type PrependScheme = 'always' | 'first' | 'never';

/** Writes spaces as ▁, puts one in front, and splits before each. */
export function splitMetaspace(text: string, prepend: boolean, split: boolean, replacement: string): string[] {
  const spaced = text.replaceAll(' ', replacement);
  const whole = prepend && !spaced.startsWith(replacement) ? replacement + spaced : spaced;
  if (!split) return [whole];
  const words: string[] = [];
  let begin = 0;
  for (let at = whole.indexOf(replacement, 1); at !== -1; at = whole.indexOf(replacement, at + 1)) {
    words.push(whole.slice(begin, at));
    begin = at;
  }
  words.push(whole.slice(begin));
  return words.filter((word) => word !== '');
}

/** The text of a piece; the first one loses the space that was put in front. */
export function metaspaceText(piece: string, isFirst: boolean, scheme: PrependScheme, replacement: string): string {
  return piece.replaceAll(replacement, isFirst && scheme !== 'never' ? '' : ' ');
}
