import { range } from './character-sets.ts';
import { anyOf, DIGITS, except, LOWER, NO_BREAK_SPACE, UPPER } from './blocks.ts';
import type { Blocks } from './blocks.ts';
import { HOST_SUFFIXES } from '../../../data/ptb-words.ts';
import { choice, literal, many, maybe, sequence, some, times, unit } from './patterns.ts';
import type { Pattern } from './patterns.ts';

/** What no part of an address has in it. */
const OUTSIDE = ' \t\n\f\r"<>|';

/** Words that begin, end or go on with an apostrophe. */
export function apostropheWord({ apostrophe, wideApostrophe, letterUnits }: Blocks): Pattern {
  const letter = unit(letterUnits);
  return choice(
    sequence(apostrophe, 'n', maybe(apostrophe)),
    sequence(choice('l', 'd', 'j', 'dunkin', 'somethin', 'ol'), apostrophe),
    sequence(apostrophe, choice('em', sequence(unit(range('2', '9')), '0s'), 'til', 'till', 'cause')),
    sequence(unit(range('A', 'H'), range('J', 'X'), 'Zn'), wideApostrophe, letter, some(letter)),
    sequence(some(letter), unit('aeiouyAEIOUY'), wideApostrophe, unit('aeiou', UPPER), many(letter)),
    sequence('o', wideApostrophe, 'o'),
    sequence("cont'd", maybe('.')),
    ...["'twas", "nor'easter", "c'mon", "e'er", "s'mores", "ev'ry", "li'l", "nat'l"].map((word) => literal(word)),
  );
}

/** An address that begins with its protocol. */
export function fullUrl(): Pattern {
  const outside = `${OUTSIDE}(){}`;
  return sequence(choice('http://', 'https://'), some(except(outside)), except(outside, '.!?,-'));
}

/** A host, by `www.` or by its end, and a path perhaps. */
export function likelyUrl(): Pattern {
  const label = some(except(OUTSIDE, '.!?(){},'));
  const plainLabel = some(except(OUTSIDE, '.!?(){},', "`'$", range(0x2c, 0x5f)));
  const host = choice(
    sequence('www.', some(label, '.'), times(2, 4, unit(UPPER, LOWER))),
    sequence(some(plainLabel, '.'), anyOf(HOST_SUFFIXES)),
  );
  return sequence(host, maybe('/', some(except(`${OUTSIDE}()`)), except(`${OUTSIDE}()`, '.!?,-{}')));
}

export function mailAddress(): Pattern {
  const outside = `${OUTSIDE}(){}${NO_BREAK_SPACE}`;
  const label = some(except(outside, '.'));
  return sequence(
    maybe(choice('<', '&lt;')),
    unit(UPPER, LOWER, DIGITS),
    many(except(outside)),
    '@',
    many(label, '.'),
    label,
    maybe(choice('>', '&gt;')),
  );
}

export function phoneNumber(): Pattern {
  const digits = (least: number, most: number): Pattern => times(least, most, unit(DIGITS));
  const separator = unit(`- ${NO_BREAK_SPACE}`);
  const plus = times(0, 2, '+');
  const area = sequence('(', digits(2, 3), ')', maybe(unit(` ${NO_BREAK_SPACE}`)));
  const country = sequence(plus, maybe(digits(2, 4), separator), digits(2, 4), separator);
  return choice(
    sequence(choice(area, country), digits(3, 4), maybe(separator), digits(3, 5)),
    sequence(maybe(plus, digits(2, 4), '.'), digits(2, 4), '.', digits(3, 4), '.', digits(3, 5)),
  );
}

/** A face seen upright. */
export function uprightFace(): Pattern {
  const [eye, dashOrEye] = [unit("^x=~<>'"), unit("-^x=~<>'")];
  return choice(
    sequence(dashOrEye, '_', dashOrEye),
    sequence('(', dashOrEye, maybe(unit('_.')), dashOrEye, ')'),
    sequence('(', eye, '-', unit("^x=~<>'`"), ')'),
    sequence(unit('^x=~<>'), '.[^x=~<>]'), // meant as a set, written as a text upstream
  );
}

/** Plain words, numbers and acronyms between hyphens. */
export function hyphenChain({ longAcronym }: Blocks): Pattern {
  const soft = '\u00ad';
  return sequence(
    unit(UPPER, LOWER, DIGITS),
    many(unit(UPPER, LOWER, DIGITS, '.,', soft)),
    some('-', choice(some(unit(UPPER, LOWER, DIGITS, soft)), sequence(longAcronym, '.'))),
  );
}

/** Words in any script, some with an elided article, between hyphens. */
export function generalChain({ wideApostrophe, hyphen, letterUnits, digitUnits }: Blocks): Pattern {
  const letterOrDigit = unit(letterUnits, digitUnits);
  const segment = sequence(maybe(unit('dDoOlL'), wideApostrophe, letterOrDigit), some(letterOrDigit));
  return sequence(segment, many(hyphen, segment));
}

/** Capitals joined by `+` or `&`. */
export function capitalsChain(): Pattern {
  const capitals = some(unit(UPPER));
  return sequence(capitals, some(choice('+', '&', '&amp;'), capitals));
}
