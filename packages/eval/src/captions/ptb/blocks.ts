import { charactersOf, complement, range, union, unitRanges, unitsMatching, without } from './character-sets.ts';
import type { CharacterSet } from './character-sets.ts';
import * as lexicon from '../../../data/ptb-words.ts';
import { choice, literal, many, maybe, sequence, some, unit } from './patterns.ts';
import type { Pattern } from './patterns.ts';

/** ASCII letters and digits. */
export const UPPER: CharacterSet = [[0x41, 0x5a]];
export const LOWER: CharacterSet = [[0x61, 0x7a]];
export const DIGITS: CharacterSet = [[0x30, 0x39]];
export const NO_BREAK_SPACE = '\u00a0';
const SOFT_HYPHEN = '\u00ad';

/** The parts that rules are made of, named as in the lexer. */
export interface Blocks {
  readonly letterUnits: CharacterSet;
  readonly digitUnits: CharacterSet;
  /** A letter in the wide sense: marks and named vowels with accents as well. */
  readonly letter: Pattern;
  readonly digit: Pattern;
  readonly letterOrDigit: Pattern;
  /** `'` in its spellings. */
  readonly apostrophe: Pattern;
  /** The same, and opening single quotes. */
  readonly wideApostrophe: Pattern;
  readonly hyphen: Pattern;
  readonly space: Pattern;
  readonly lineEnd: Pattern;
  readonly spaceOrLineEnd: Pattern;
  readonly slash: Pattern;
  readonly word: Pattern;
  readonly notStem: Pattern;
  readonly clitic: Pattern;
  readonly not: Pattern;
  readonly acronym: Pattern;
  readonly longAcronym: Pattern;
  readonly number: Pattern;
  readonly tag: Pattern;
  readonly inSentence: Pattern;
  readonly quoteUnit: Pattern;
  readonly notAsciiLetter: Pattern;
}

/** Any of the words of a list, `!` before a letter that matches itself only. */
export function anyOf(list: string): Pattern {
  const words = list.trim().split(/\s+/);
  return choice(
    ...words.map((word) => {
      const text = word.replaceAll('!', '');
      let index = -1;
      const exact = [...word].flatMap((character, at) => {
        if (character === '!') return [];
        index += 1;
        return word[at - 1] === '!' ? [index] : [];
      });
      return literal(text, exact);
    }),
  );
}

export function buildBlocks(): Blocks {
  const later = unitRanges(lexicon.LATER_LETTERS);
  const letterUnits = union([without(unitsMatching(/^\p{L}$/u), later), unitRanges(lexicon.FORMER_LETTERS)]);
  const digitUnits = without(unitsMatching(/^\p{Nd}$/u), later);
  const accented = sequence('&', unit('aeiouAEIOU'), choice('acute', 'grave', 'uml'), ';');
  const letter = choice(unit(letterUnits, unitRanges(lexicon.LETTER_EXTRAS)), accented);
  const digit = unit(digitUnits, range(0x07c0, 0x07c9));
  const letterOrDigit = choice(letter, digit);
  const apostrophe = choice(unit("'\u0092\u2019"), '&apos;');
  const wideApostrophe = choice(apostrophe, unit('`\u0091\u2018\u201b'));
  const space = unit(unitRanges(lexicon.SPACES));
  const lineEnd = choice('\r\n', unit('\r\n\u2028\u2029\u000b\u000c\u0085'));
  const asciiLetter = unit(UPPER, LOWER);
  const hyphenAcronym = anyOf(lexicon.HYPHEN_ACRONYMS);
  return {
    letterUnits,
    digitUnits,
    letter,
    digit,
    letterOrDigit,
    apostrophe,
    wideApostrophe,
    hyphen: unit('-_\u058a\u2010\u2011'),
    space,
    lineEnd,
    spaceOrLineEnd: choice(space, lineEnd),
    slash: sequence(maybe('\\'), '/'),
    word: sequence(letter, many(letterOrDigit), many(unit('.!?'), letter, many(letterOrDigit))),
    notStem: sequence(
      many(unit(UPPER, LOWER, SOFT_HYPHEN)),
      unit(range('A', 'M'), range('O', 'Z'), range('a', 'm'), range('o', 'z')),
      many(unit(SOFT_HYPHEN)),
    ),
    clitic: sequence(apostrophe, choice('m', 's', 'd', 're', 've', 'll')),
    not: sequence('n', wideApostrophe, 't'),
    acronym: choice(sequence(asciiLetter, many('.', asciiLetter)), hyphenAcronym),
    longAcronym: choice(sequence(asciiLetter, some('.', asciiLetter)), hyphenAcronym),
    number: choice(some(digit), sequence(many(digit), some(unit('.:,\u00ad\u066b\u066c'), some(digit)))),
    tag: buildTag(),
    inSentence: unit(',;:\u3001'),
    quoteUnit: unit(unitRanges(lexicon.QUOTES)),
    notAsciiLetter: unit(complement(UPPER, LOWER)),
  };
}

/** A tag of XML or HTML; a value in quotes may have line ends in it. */
function buildTag(): Pattern {
  const asciiLetter = unit(UPPER, LOWER);
  const name = sequence(asciiLetter, many(unit(UPPER, LOWER, DIGITS, '_:.-')));
  const value = choice(
    sequence("'", many(unit(complement([[0x27, 0x27]]))), "'"),
    sequence('"', many(unit(complement([[0x22, 0x22]]))), '"'),
  );
  const attribute = sequence(some(' '), name, maybe(many(' '), '=', many(' '), value));
  const declaration = sequence(unit('!?'), unit(UPPER, LOWER, '-'), many(unit(complement(unitRanges('3E 0D 0A')))));
  return sequence(
    '<',
    choice(declaration, sequence(name, many(attribute), many(' '), maybe('/')), sequence('/', name)),
    many(' '),
    '>',
  );
}

/** Units other than those of a text. */
export function except(...sets: readonly (CharacterSet | string)[]): Pattern {
  return unit(complement(...sets.map((one) => (typeof one === 'string' ? charactersOf(one) : one))));
}
