import { splitWords } from '../words.ts';

/**
 * Turns captions into tokens joined by single spaces, all captions of one side in one call: the official tokeniser looks over the
 * end of a caption into the next.
 */
export type CaptionTokenizer = (captions: readonly string[]) => string[];

/** Words in lower case between white space, marks kept: fast, for texts that are already clean. Not the official tokeniser. */
export const tokenizeWhitespace: CaptionTokenizer = (captions: readonly string[]): string[] =>
  captions.map((caption) => splitWords(caption.toLowerCase()).join(' '));

/** An image to be scored: tokens joined by single spaces. */
export interface TokenizedCaptions {
  readonly candidate: string;
  readonly references: readonly string[];
}

/** A value for all images together and one for each, unrounded, in the order of the images. */
export interface CaptionScores {
  readonly corpus: number;
  readonly perImage: readonly number[];
}
