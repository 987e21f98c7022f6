/** Phrases that mean alike: METEOR's table, or some of it. */
export interface Paraphrases {
  /** For a phrase, its words joined by single spaces, the phrases that it may be said as, in words, in the order of the file. */
  readonly targets: ReadonlyMap<string, readonly (readonly string[])[]>;
  /** Words of the longest phrase that has targets. */
  readonly longest: number;
}

/** Collects the lines of METEOR's table of paraphrases: groups of three, a probability, which is not used, a phrase and what it may be said as. */
export class ParaphraseCollector {
  readonly #words: ReadonlySet<string> | undefined;
  readonly #targets: Map<string, string[][]> = new Map();
  #longest = 0;
  #lines: string[] = [];

  /** @param words - Phrases with other words are passed over: the whole table has millions. @default all are kept */
  constructor(words?: ReadonlySet<string>) {
    this.#words = words;
  }

  add(line: string): void {
    this.#lines.push(line.trim());
    if (this.#lines.length < 3) return;
    const [, source = '', target = ''] = this.#lines;
    this.#lines = [];
    const [from, to] = [source.split(' '), target.split(' ')];
    if (!this.#isWanted(from) || !this.#isWanted(to)) return;
    this.#longest = Math.max(this.#longest, from.length);
    const targets = this.#targets.get(source);
    if (targets === undefined) this.#targets.set(source, [to]);
    else targets.push(to);
  }

  end(): Paraphrases {
    return { targets: this.#targets, longest: this.#longest };
  }

  #isWanted(phrase: readonly string[]): boolean {
    return this.#words === undefined || phrase.every((word) => this.#words!.has(word));
  }
}

/**
 * Reads METEOR's table of paraphrases, unpacked. `readMeteorTables` of `@blip2/eval/node` reads the file, which is large, in pieces.
 *
 * @param text - The text in `data/paraphrase-en.gz`.
 */
export function parseParaphrases(text: string): Paraphrases {
  const collector = new ParaphraseCollector();
  for (const line of text.split(/\r?\n/)) collector.add(line);
  return collector.end();
}

/** A phrase of one text, and one of the other that means alike. */
export interface ParaphrasePlace {
  readonly start: number;
  readonly length: number;
  readonly other: number;
  readonly otherLength: number;
}

/** By where the phrase begins in the first text, shorter phrases first, then in the order of the table. */
export function* findParaphrases(
  words: readonly string[],
  others: readonly string[],
  { targets, longest }: Paraphrases,
): Generator<ParaphrasePlace> {
  const places = Map.groupBy(others.keys(), (other) => others[other]!);
  for (const start of words.keys()) {
    let source = '';
    for (let length = 1; length <= Math.min(longest, words.length - start); length += 1) {
      source += length === 1 ? words[start]! : ` ${words[start + length - 1]!}`;
      for (const target of targets.get(source) ?? [])
        for (const other of places.get(target[0]!) ?? [])
          if (isAt(others, other, target)) yield { start, length, other, otherLength: target.length };
    }
  }
}

function isAt(words: readonly string[], start: number, phrase: readonly string[]): boolean {
  if (start + phrase.length > words.length) return false;
  for (const [index, word] of phrase.entries()) if (words[start + index] !== word) return false;
  return true;
}
