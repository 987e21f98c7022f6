/** The family of a tokenizer: BERT's WordPiece, OPT's byte-level BPE, T5's SentencePiece unigrams. */
export type TokenizerKind = 'bert' | 'opt' | 't5';

/** What a family of tokenizers does to text, without added tokens, which are common to all. */
export interface TokenizerPipeline {
  readonly kind: TokenizerKind;
  readonly vocab: ReadonlyMap<string, number>;
  normalize(text: string): string;
  /** @param isBeginning - Whether the text begins where the whole text begins. */
  splitWords(text: string, isBeginning: boolean): string[];
  encodeWord(word: string): readonly number[];
  /** The text of pieces in a row. */
  decode(pieces: readonly string[]): string;
}
