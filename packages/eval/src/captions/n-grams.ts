import { splitWords } from '../words.ts';
import type { TokenizedCaptions } from './tokenizer.ts';

/** The longest n-gram of BLEU and CIDEr, in words. */
export const LONGEST = 4;

/** The different n-grams of a sentence, n from 1 to 4, as numbers of a {@link GramTable}: shorter ones first, then by first appearance. */
export interface GramCounts {
  /** Of the sentence, in words. */
  readonly length: number;
  readonly grams: Int32Array;
  /** How often each occurs. */
  readonly counts: Int32Array;
  /** Where those of n words begin, for n from 1 to 4, and where the last ones end. */
  readonly starts: readonly number[];
}

/** An image's captions, counted. */
export interface CountedCaptions {
  readonly candidate: GramCounts;
  readonly references: readonly GramCounts[];
}

/**
 * Numbers n-grams, from 1 on. An n-gram is the number of its beginning and that of its last word, so that finding it compares two numbers, however
 * long it is; and what is known of n-grams is in arrays.
 */
export class GramTable {
  readonly #words = new Map<string, number>();
  readonly #wordTexts: string[] = [];
  #beginnings = new Int32Array(1024); // gram → the gram without its last word; 0 for a single word
  #lastWords = new Int32Array(1024); // gram → number of its last word
  #slots = new Int32Array(4096); // hash → gram, 0 where there is none
  #count = 0;
  /** Where a gram stands in the counts being made; what is in it from earlier ones is recognised. */
  #places = new Int32Array(1024);
  // Counts being made.
  #grams = new Int32Array(256);
  #counts = new Int32Array(256);

  /** The numbers of grams are below this. */
  get size(): number {
    return this.#count + 1;
  }

  /** Counts the n-grams of a sentence, whose words are what is between white space. */
  count(sentence: string): GramCounts {
    const texts = splitWords(sentence);
    const { length } = texts;
    const words = new Int32Array(length);
    for (let at = 0; at < length; at += 1) words[at] = this.#wordNumber(texts[at]!);
    const row = new Int32Array(length); // the gram that begins at each word
    if (this.#grams.length < LONGEST * length) this.#widenCounts(LONGEST * length);
    const [grams, counts] = [this.#grams, this.#counts];
    const starts = [0];
    let different = 0;
    for (let n = 1; n <= LONGEST; n += 1) {
      for (let start = 0; start + n <= length; start += 1) {
        const gram = this.#find(row[start]!, words[start + n - 1]!);
        row[start] = gram;
        const place = this.#places[gram]!;
        if (place < different && grams[place] === gram) counts[place]! += 1;
        else {
          this.#places[gram] = different;
          grams[different] = gram;
          counts[different] = 1;
          different += 1;
        }
      }
      starts.push(different);
    }
    return { length, grams: grams.slice(0, different), counts: counts.slice(0, different), starts };
  }

  /** The words of all n-grams, joined by spaces, by their numbers. */
  texts(): string[] {
    const texts = [''];
    for (let gram = 1; gram < this.size; gram += 1) {
      const [beginning, last] = [this.#beginnings[gram]!, this.#wordTexts[this.#lastWords[gram]!]!];
      texts.push(beginning === 0 ? last : `${texts[beginning]!} ${last}`);
    }
    return texts;
  }

  #wordNumber(word: string): number {
    let number = this.#words.get(word);
    if (number === undefined) {
      number = this.#wordTexts.length;
      this.#words.set(word, number);
      this.#wordTexts.push(word);
    }
    return number;
  }

  /** The number of a gram, a new one where it has none. */
  #find(beginning: number, lastWord: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(beginning, lastWord) & mask;
    for (let gram = this.#slots[slot]!; gram !== 0; gram = this.#slots[slot]!) {
      if (this.#beginnings[gram] === beginning && this.#lastWords[gram] === lastWord) return gram;
      slot = (slot + 1) & mask;
    }
    this.#count += 1;
    const gram = this.#count;
    if (gram >= this.#beginnings.length) this.#grow();
    this.#beginnings[gram] = beginning;
    this.#lastWords[gram] = lastWord;
    this.#slots[slot] = gram;
    if (2 * gram > this.#slots.length) this.#rehash();
    return gram;
  }

  #grow(): void {
    const wider = (array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const copy = new Int32Array(2 * array.length);
      copy.set(array);
      return copy;
    };
    this.#beginnings = wider(this.#beginnings);
    this.#lastWords = wider(this.#lastWords);
    this.#places = wider(this.#places);
  }

  #widenCounts(length: number): void {
    this.#grams = new Int32Array(2 * length);
    this.#counts = new Int32Array(2 * length);
  }

  #rehash(): void {
    this.#slots = new Int32Array(4 * this.#slots.length);
    const mask = this.#slots.length - 1;
    for (let gram = 1; gram <= this.#count; gram += 1) {
      let slot = hash(this.#beginnings[gram]!, this.#lastWords[gram]!) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = gram;
    }
  }
}

/** Spreads pairs of small numbers over 32 bits; the factors are odd and otherwise arbitrary. */
function hash(one: number, other: number): number {
  const mixed = Math.imul(one, 0x9e3779b1) ^ Math.imul(other, 0x85ebca6b);
  return mixed ^ (mixed >>> 15);
}

/** The n-grams of all captions, in one table. */
export function countCaptions(captions: readonly TokenizedCaptions[]): {
  readonly table: GramTable;
  readonly counted: readonly CountedCaptions[];
} {
  const table = new GramTable();
  const counted = captions.map(({ candidate, references }) => ({
    candidate: table.count(candidate),
    references: references.map((reference) => table.count(reference)),
  }));
  return { table, counted };
}
