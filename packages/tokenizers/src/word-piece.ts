/** Cuts words into the longest pieces of a vocabulary, from the left. */
export class WordPieceModel {
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #unknownId: number;
  readonly #prefix: string;
  readonly #longestWord: number;
  readonly #longestPiece: number;

  /**
   * @param prefix - In front of pieces that do not begin a word: `##`.
   * @param longestWord - In characters; a longer word is unknown.
   */
  constructor(vocab: ReadonlyMap<string, number>, unknownId: number, prefix: string, longestWord: number) {
    this.#vocab = vocab;
    this.#unknownId = unknownId;
    this.#prefix = prefix;
    this.#longestWord = longestWord;
    let longestPiece = 0;
    for (const piece of vocab.keys()) longestPiece = Math.max(longestPiece, piece.length);
    this.#longestPiece = longestPiece;
  }

  /** The ids of a word; the unknown id alone where a rest has no piece. */
  encode(word: string): number[] {
    if (this.#isTooLong(word)) return [this.#unknownId];
    const ids: number[] = [];
    for (let begin = 0; begin < word.length;) {
      const prefix = begin === 0 ? '' : this.#prefix;
      let end = Math.min(word.length, begin + this.#longestPiece);
      let id: number | undefined;
      while (end > begin && (id = this.#vocab.get(prefix + word.slice(begin, end))) === undefined) end--;
      if (id === undefined) return [this.#unknownId];
      ids.push(id);
      begin = end;
    }
    return ids;
  }

  #isTooLong(word: string): boolean {
    if (word.length <= this.#longestWord) return false;
    return word.length > 2 * this.#longestWord || [...word].length > this.#longestWord;
  }
}

/**
 * The text of one piece after others: a space in front, unless it goes on a word or is punctuation that stands close.
 *
 * Source: Hugging Face tokenizers, `decoders/wordpiece.rs`, with its clean-up, which sees one piece at a time.
 */
export function wordPieceText(piece: string, isFirst: boolean, prefix: string, cleanUp: boolean): string {
  const text = isFirst ? piece : piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
  if (!cleanUp) return text;
  return text
    .replaceAll(/ ([.?!,])/g, '$1')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(/ '(s|ve|re)/g, "'$1");
}
