import { complement, range, unitRanges, unitsMatching } from './character-sets.ts';
import { anyOf, buildBlocks, DIGITS, except, LOWER, NO_BREAK_SPACE, UPPER } from './blocks.ts';
import type { Blocks } from './blocks.ts';
import * as lexicon from '../../../data/ptb-words.ts';
import * as output from './outputs.ts';
import { choice, literal, many, maybe, sequence, some, times, unit } from './patterns.ts';
import type { Pattern } from './patterns.ts';
import * as shapes from './shapes.ts';

/** What a rule writes for the text it matched; nothing when empty. */
export type Output = (text: string) => string;

/** One rule of the lexer. */
export interface Rule {
  readonly token: Pattern;
  /** What must follow the token; it decides how long the match is, and is read again. */
  readonly before?: Pattern;
  /** @default the text itself */
  readonly output?: Output;
  /** How many characters at the end of the token are read again. @default 0 */
  readonly rescan?: (text: string) => number;
}

const one = (): number => 1;

/** The rules in the lexer's order; of matches of equal length the first rule counts. */
export function buildRules(): Rule[] {
  const blocks = buildBlocks();
  return [
    ...markupAndWords(blocks),
    ...addressesAndNumbers(blocks),
    ...abbreviations(blocks),
    ...quotesAndFaces(),
    ...marks(blocks),
    ...chains(blocks),
    ...rest(blocks),
  ];
}

/** Rules 1 to 12. */
function markupAndWords(blocks: Blocks): Rule[] {
  const { tag, word, clitic, notStem, not, apostrophe, letterUnits } = blocks;
  return [
    { token: literal('c++') },
    { token: sequence(unit('cCfF'), '#') },
    ...Object.entries(lexicon.ASSIMILATIONS).map(([text, second]) => ({
      token: literal(text),
      output: (both: string) => both.slice(0, -second),
      rescan: () => second,
    })),
    { token: tag, output: output.withoutBreaks },
    {
      token: choice('&MD;', '&mdash;', '&ndash;', unit('\u0096\u0097\u2013\u2014\u2015')),
      output: () => '--',
    },
    { token: literal('&amp;'), output: () => '&' },
    {
      token: sequence('&', choice(...'HT TL UR LR QC QL QR odq cdq'.split(' '), sequence('#', some(unit(DIGITS)))), ';'),
    },
    { token: word, before: clitic, output: output.withoutSoftHyphens },
    { token: notStem, before: not, output: output.withoutSoftHyphens },
    { token: word, output: output.withoutSoftHyphens },
    { token: shapes.apostropheWord(blocks) },
    { token: sequence('y', apostrophe), before: unit(letterUnits) },
  ];
}

/** Rules 13 to 27. */
function addressesAndNumbers({ letter, digit, clitic, not, number, slash, notAsciiLetter, apostrophe }: Blocks): Rule[] {
  const digits = (least: number, most: number): Pattern => times(least, most, digit);
  const parts = sequence(some(unit(UPPER, LOWER, DIGITS)), times(0, 2, '-', some(unit(UPPER, LOWER))));
  return [
    { token: shapes.fullUrl() },
    { token: shapes.likelyUrl() },
    { token: shapes.mailAddress() },
    { token: choice(sequence('@', unit(UPPER, LOWER, '_'), many(unit(UPPER, LOWER, DIGITS, '_'))), sequence('#', some(letter))) },
    { token: clitic, before: notAsciiLetter, output: output.closingQuotes },
    { token: not, before: notAsciiLetter, output: output.closingQuotes },
    { token: sequence(digits(1, 2), unit('-/'), digits(1, 2), unit('-/'), digits(2, 4)) },
    { token: sequence(maybe(unit('+-')), number), output: output.withoutSoftHyphens },
    {
      token: sequence(
        maybe(unit('\u207a\u207b\u208a\u208b')),
        choice(some(unit('\u2070\u00b9\u00b2\u00b3', range(0x2074, 0x2079))), some(unit(range(0x2080, 0x2089)))),
      ),
    },
    {
      token: sequence(maybe(digits(1, 4), unit(`- ${NO_BREAK_SPACE}`)), digits(1, 4), choice(slash, '\u2044'), digits(1, 4)),
      output: output.withoutBreaks,
    },
    { token: unit('\u00bc\u00bd\u00be', range(0x2153, 0x215e)), output: output.fraction },
    {
      token: choice(
        ...'-RRB- -LRB- -RCB- -LCB- -RSB- -LSB- C.D.s pro- anti-'.split(' '),
        sequence('S', choice('&', '&amp;'), choice('P-500', 'Ls')),
        sequence('Cap', apostrophe, 'n'),
        sequence('c', apostrophe, 'est'),
      ),
      output: output.withAmpersands,
    },
    { token: sequence(parts, times(1, 2, slash, parts)) },
    { token: choice(sequence(many(unit(UPPER)), '$'), '#') },
    { token: unit(unitRanges(lexicon.CURRENCIES)), output: output.currency },
  ];
}

/** Rules 28 to 40. */
function abbreviations({
  acronym,
  tag,
  space,
  spaceOrLineEnd,
  digitUnits,
  letterOrDigit,
  word,
  inSentence,
  apostrophe,
}: Blocks): Rule[] {
  const inside = sequence(anyOf(lexicon.ABBREVIATIONS_INSIDE), '.');
  const name = choice(anyOf(lexicon.ABBREVIATIONS_BEFORE_NAMES), acronym);
  const run = some(letterOrDigit);
  const any = unit(complement());
  return [
    {
      token: sequence(acronym, '.'),
      before: sequence(some(spaceOrLineEnd), choice(anyOf(lexicon.SENTENCE_STARTS), tag), spaceOrLineEnd),
      output: (text) => (text.length === 2 ? text.slice(0, 1) : text),
      rescan: one,
    },
    {
      token: sequence(anyOf(lexicon.ABBREVIATIONS_BEFORE_NUMBERS), '.'),
      before: sequence(maybe(spaceOrLineEnd), unit(digitUnits)),
    },
    { token: sequence(choice(sequence('pt', unit('eyEY')), 'co'), '.'), before: sequence(space, choice('ltd', 'lim')) },
    {
      token: inside,
      before: sequence(spaceOrLineEnd, choice(spaceOrLineEnd, unit(unitsMatching(/^\p{Lu}$/u)), tag)),
      rescan: one,
    },
    { token: inside, before: sequence(any, any) },
    { token: inside, rescan: one },
    { token: sequence(name, '.') },
    { token: name, before: space },
    { token: acronym, before: spaceOrLineEnd },
    { token: sequence(apostrophe, times(2, 2, unit(DIGITS))), before: spaceOrLineEnd },
    {
      token: sequence(run, many('.', run), '.', anyOf(lexicon.FILE_EXTENSIONS)),
      before: choice(spaceOrLineEnd, unit('.?!,')),
    },
    { token: sequence(word, '.'), before: inSentence, output: output.withoutSoftHyphens },
    { token: shapes.phoneNumber(), output: (text) => output.withBrackets(output.withoutBreaks(text)) },
  ];
}

/** Rules 41 to 48. */
function quotesAndFaces(): Rule[] {
  const quote = choice('"', '&quot;');
  return [
    { token: quote, before: unit(UPPER, LOWER, DIGITS, '$'), output: output.openingQuotes },
    { token: quote, output: output.closingQuotes },
    { token: unit('\u007f'), output: output.nothing },
    { token: choice('<', '&lt;'), output: () => '<' },
    { token: choice('>', '&gt;'), output: () => '>' },
    {
      token: sequence(maybe(unit('<>')), unit(':;='), maybe(unit("-o*'")), unit('()DPdpO\\{@|[]')),
      before: unit(complement(UPPER, LOWER, DIGITS)),
      output: output.withBrackets,
    },
    { token: shapes.uprightFace(), output: output.withBrackets },
    { token: unit('{}[]()'), output: output.bracket },
  ];
}

/** Rules 49 to 57. */
function marks({ inSentence }: Blocks): Rule[] {
  return [
    { token: some('-'), output: (text) => (text.length === 3 || text.length === 4 ? '--' : text) },
    {
      token: choice(times(3, 5, '.'), sequence(times(2, 4, '.', unit(` ${NO_BREAK_SPACE}`)), '.'), unit('\u0085\u2026')),
      output: () => '...',
    },
    { token: choice(some('@'), some('#'), some('_')) },
    { token: choice(some('*'), times(1, 3, '\\*')) },
    { token: inSentence },
    { token: some(unit('?!')) },
    { token: unit(unitRanges(lexicon.SENTENCE_PUNCTUATION)) },
    { token: literal('=') },
    { token: literal('/') },
  ];
}

/** Rules 58 to 63. */
function chains(blocks: Blocks): Rule[] {
  const before = blocks.inSentence;
  const withEnd = (token: Pattern, written?: Output): Rule[] => [
    { token: sequence(token, '.'), before, output: written },
    { token, output: written },
  ];
  return [
    ...withEnd(shapes.hyphenChain(blocks), output.withoutSoftHyphens),
    ...withEnd(shapes.generalChain(blocks)),
    ...withEnd(shapes.capitalsChain(), output.withAmpersands),
  ];
}

/** Rules 64 to 73. */
function rest({ apostrophe, clitic, not, quoteUnit, space, lineEnd }: Blocks): Rule[] {
  return [
    {
      token: literal("'"),
      before: sequence(unit(UPPER, LOWER), except(` \t\n\r${NO_BREAK_SPACE}`)),
      output: output.openingQuotes,
    },
    { token: clitic, output: output.closingQuotes },
    { token: not, output: output.closingQuotes },
    { token: choice(apostrophe, "''", times(1, 2, quoteUnit)), output: output.closingQuotes },
    { token: choice('<<', '>>') },
    { token: unit(unitRanges(lexicon.SYMBOLS)) },
    { token: choice('\u0000', some(space), unit('\u200b\u200e\u200f\ufeff')), output: output.nothing },
    { token: lineEnd, output: () => output.LINE_BREAK },
    { token: literal('&nbsp;'), output: output.nothing },
    { token: unit(complement()), output: output.nothing },
  ];
}
