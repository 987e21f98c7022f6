import { charactersOf, union } from './character-sets.ts';
import type { CharacterSet } from './character-sets.ts';

/** A regular expression as data, over UTF-16 code units. */
export type Pattern =
  | { readonly kind: 'unit'; readonly set: CharacterSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly options: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly part: Pattern; readonly least: number; readonly most: number };

/** What combinators take: a pattern, or a text whose letters match both cases. */
export type Piece = Pattern | string;

/** Equal sets are one object, so that units fall into few classes. */
const SETS = new Map<string, CharacterSet>();

/** One unit of a set, or of a string's units, exactly these. */
export function unit(...sets: readonly (CharacterSet | string)[]): Pattern {
  const set = union(sets.map((one) => (typeof one === 'string' ? charactersOf(one) : one)));
  const key = set.join();
  const known = SETS.get(key) ?? set;
  SETS.set(key, known);
  return { kind: 'unit', set: known };
}

/** A text; ASCII letters match both cases, but for those at positions of `exact`. */
export function literal(text: string, exact: readonly number[] = []): Pattern {
  return {
    kind: 'sequence',
    parts: text
      .split('')
      .map((character, index) =>
        unit(exact.includes(index) ? character : `${character.toLowerCase()}${character.toUpperCase()}`),
      ),
  };
}

export function sequence(...parts: readonly Piece[]): Pattern {
  return { kind: 'sequence', parts: parts.map(patternOf) };
}

export function choice(...options: readonly Piece[]): Pattern {
  return { kind: 'choice', options: options.map(patternOf) };
}

/** From `least` to `most` times. */
export function times(least: number, most: number, ...parts: readonly Piece[]): Pattern {
  return { kind: 'repeat', part: sequence(...parts), least, most };
}

/** Once or not at all. */
export function maybe(...parts: readonly Piece[]): Pattern {
  return times(0, 1, ...parts);
}

/** Any number of times. */
export function many(...parts: readonly Piece[]): Pattern {
  return times(0, Number.POSITIVE_INFINITY, ...parts);
}

/** Once or more. */
export function some(...parts: readonly Piece[]): Pattern {
  return times(1, Number.POSITIVE_INFINITY, ...parts);
}

/** The sets that occur in a pattern. */
export function setsOf(pattern: Pattern): CharacterSet[] {
  switch (pattern.kind) {
    case 'unit':
      return [pattern.set];
    case 'sequence':
      return pattern.parts.flatMap(setsOf);
    case 'choice':
      return pattern.options.flatMap(setsOf);
    case 'repeat':
      return setsOf(pattern.part);
  }
}

function patternOf(piece: Piece): Pattern {
  return typeof piece === 'string' ? literal(piece) : piece;
}
