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

  constructor() {
    this.#rules = buildRules();
    const patterns = this.#rules.map(({ token, before }) => (before === undefined ? token : sequence(token, before)));
    const classes = classify(new Set(patterns.flatMap(setsOf)));
    this.#automaton = new Automaton(patterns, classes);
    this.#cuts = this.#rules.map(({ token, before }) =>
      before === undefined ? undefined : [new Automaton([token], classes), new Automaton([before], classes)],
    );
  }

  /** The tokens as the lexer writes them, case kept; `LINE_BREAK` for line ends. */
  tokens(text: string): string[] {
    const tokens: string[] = [];
    const deadEnds = new Set<number>();
    let position = 0;
    while (position < text.length) {
      const match = this.#automaton.longest(text, position, deadEnds)!; // the last rule matches any unit
      const { output, rescan } = this.#rules[match.pattern]!;
      const end = this.#tokenEnd(text, position, match.end, match.pattern);
      const token = text.slice(position, end);
      const written = output === undefined ? token : output(token);
      if (written !== '') tokens.push(written);
      position = end - (rescan?.(token) ?? 0);
    }
    return tokens;
  }

  /** The longest token whose context is exactly the rest of the match. */
  #tokenEnd(text: string, start: number, end: number, rule: number): number {
    const cut = this.#cuts[rule];
    if (cut === undefined) return end;
    const [token, context] = cut;
    return token.ends(text, start, end).findLast((one) => context.ends(text, one, end).includes(end))!;
  }
}
