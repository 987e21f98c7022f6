import { splitWords } from '../words.ts';
import type { TokenizedCaptions } from './tokenizer.ts';

/** The longest n-gram of BLEU and CIDEr, in words. */
export const LONGEST = 4;

/** The different n-grams of a sentence, n from 1 to 4: shorter ones first, then by first appearance. */
export interface GramCounts {
  /** Of the sentence, in words. */
  readonly length: number;
  /** Where in {@link GramTable.grams} those of n words begin, for n from 1 to 4, and where the last ones end. */
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
  /** Where a gram stands among those of the present sentence; what is in it from earlier ones is recognised. */
  #places = new Int32Array(1024);
  /** The grams of all sentences, one sentence after the other: small arrays by the thousand would cost more than counting. */
  #grams = new Int32Array(4096);
  #counts = new Int32Array(4096);
  #filled = 0;
  // Of the present sentence.
  #numbers = new Int32Array(64);
  #row = new Int32Array(64);

  /** The numbers of grams are below this. */
  get size(): number {
    return this.#count + 1;
  }

  /** Numbers of the different n-grams of all sentences so far. Another array after more of them. */
  get grams(): Int32Array {
    return this.#grams;
  }

  /** How often each occurs in its sentence. */
  get counts(): Int32Array {
    return this.#counts;
  }

  /** Counts the n-grams of a sentence, whose words are what is between white space. */
  count(sentence: string): GramCounts {
    const texts = splitWords(sentence);
    const { length } = texts;
    this.#makeRoom(length);
    const [numbers, row, grams, counts] = [this.#numbers, this.#row, this.#grams, this.#counts];
    for (let at = 0; at < length; at += 1) numbers[at] = this.#wordNumber(texts[at]!);
    row.fill(0, 0, length); // the gram that begins at each word
    const begin = this.#filled;
    let end = begin;
    const starts = [begin];
    for (let n = 1; n <= LONGEST; n += 1) {
      for (let start = 0; start + n <= length; start += 1) {
        const gram = this.#find(row[start]!, numbers[start + n - 1]!);
        row[start] = gram;
        const place = this.#places[gram]!;
        if (place >= begin && place < end && grams[place] === gram) counts[place]! += 1;
        else {
          this.#places[gram] = end;
          grams[end] = gram;
          counts[end] = 1;
          end += 1;
        }
      }
      starts.push(end);
    }
    this.#filled = end;
    return { length, starts };
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
    this.#beginnings = widened(this.#beginnings);
    this.#lastWords = widened(this.#lastWords);
    this.#places = widened(this.#places);
  }

  /** For a sentence of so many words. */
  #makeRoom(words: number): void {
    while (this.#grams.length < this.#filled + LONGEST * words) {
      this.#grams = widened(this.#grams);
      this.#counts = widened(this.#counts);
    }
    if (this.#row.length >= words) return;
    this.#row = new Int32Array(2 * words);
    this.#numbers = new Int32Array(2 * words);
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

function widened(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(2 * array.length);
  copy.set(array);
  return copy;
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
