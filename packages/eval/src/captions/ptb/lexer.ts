import { Automaton } from './automaton.ts';
import { classify } from './character-sets.ts';
import { sequence, setsOf } from './patterns.ts';
import { buildRules } from './rules.ts';
import type { Rule } from './rules.ts';

/**
 * Splits a text as Stanford's PTBLexer 3.4.1 does: at each position the rule wins whose token and context are longest, and of these the first.
 * Source: the rule table of the lexer, checked against its output.
 */
export class PtbLexer {
  readonly #rules: readonly Rule[];
  readonly #automaton: Automaton;
  /** For rules with a context: the token alone, and the context alone. */
  readonly #cuts: readonly (readonly [token: Automaton, context: Automaton] | undefined)[];
  readonly #known = new Map<string, readonly string[]>(); // words before a space → their tokens

  readonly #remembers: boolean;

  /** @param options.remembers - Words, as {@link PtbLexer.tokens} says. It changes nothing but the time. @default true */
  constructor({ remembers = true }: { readonly remembers?: boolean } = {}) {
    this.#remembers = remembers;
    this.#rules = buildRules();
    const patterns = this.#rules.map(({ token, before }) => (before === undefined ? token : sequence(token, before)));
    const classes = classify(new Set(patterns.flatMap(setsOf)));
    this.#automaton = new Automaton(patterns, classes);
    this.#cuts = this.#rules.map(({ token, before }) =>
      before === undefined ? undefined : [new Automaton([token], classes), new Automaton([before], classes)],
    );
  }

  /**
   * The tokens as the lexer writes them, case kept; `LINE_BREAK` for line ends.
   *
   * A word of ASCII letters before a space has the same tokens wherever it stands: no rule that begins with letters goes on after a space. So a word that
   * came before is not looked at again.
   */
  tokens(text: string): string[] {
    const tokens: string[] = [];
    const deadEnds = new Set<number>();
    let position = 0;
    while (position < text.length) {
      const end = this.#remembers ? endOfWord(text, position) : position;
      if (end > position) {
        for (const token of this.#tokensOfWord(text.slice(position, end))) tokens.push(token);
        position = end;
      } else position = this.#take(text, position, tokens, deadEnds);
    }
    return tokens;
  }

  /** The tokens of ASCII letters before a space. */
  #tokensOfWord(word: string): readonly string[] {
    const known = this.#known.get(word);
    if (known !== undefined) return known;
    const tokens: string[] = [];
    const [text, deadEnds] = [`${word} `, new Set<number>()];
    for (let position = 0; position < text.length;) position = this.#take(text, position, tokens, deadEnds);
    if (this.#known.size < MOST_KNOWN && word.length <= LONGEST_KNOWN) this.#known.set(word, tokens);
    return tokens;
  }

  /** Adds the token at a position. @returns where the next one begins. */
  #take(text: string, position: number, tokens: string[], deadEnds: Set<number>): number {
    const match = this.#automaton.longest(text, position, deadEnds)!; // the last rule matches any unit
    const { output, rescan } = this.#rules[match.pattern]!;
    const end = this.#tokenEnd(text, position, match.end, match.pattern);
    const token = text.slice(position, end);
    const written = output === undefined ? token : output(token);
    if (written !== '') tokens.push(written);
    return end - (rescan?.(token) ?? 0);
  }

  /** The longest token whose context is exactly the rest of the match. */
  #tokenEnd(text: string, start: number, end: number, rule: number): number {
    const cut = this.#cuts[rule];
    if (cut === undefined) return end;
    const [token, context] = cut;
    return token.ends(text, start, end).findLast((one) => context.ends(text, one, end).includes(end))!;
  }
}

/** Words that are kept, and their length: the vocabulary of any set of captions. */
const MOST_KNOWN = 100_000;
const LONGEST_KNOWN = 30;

/** Where ASCII letters end that a space follows; the position itself where there are none. */
function endOfWord(text: string, position: number): number {
  let end = position;
  while (isLetter(text.charCodeAt(end))) end += 1;
  return text.charCodeAt(end) === 0x20 ? end : position;
}

function isLetter(unit: number): boolean {
  const lower = unit | 0x20;
  return lower >= 0x61 && lower <= 0x7a && unit < 0x80;
}
