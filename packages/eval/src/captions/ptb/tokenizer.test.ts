import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readMetrics } from '../../__fixtures__/metrics.ts';
import { Automaton } from './automaton.ts';
import { classify, complement, union } from './character-sets.ts';
import type { CharacterSet } from './character-sets.ts';
import * as lexicon from '../../../data/ptb-words.ts';
import { PtbLexer } from './lexer.ts';
import { sequence, setsOf } from './patterns.ts';
import type { Pattern } from './patterns.ts';
import { buildRules } from './rules.ts';
import { ptbLines, tokenizePtb } from './tokenizer.ts';

const golden = readMetrics('ptb-tokenizer.json') as {
  cases: { category: string; text: string; raw: string; tokenized: string }[];
  contextCases: { captions: string[]; tokenized: string[]; eachAloneWithNewline: string[] }[];
  lastCaptionCases: { text: string; raw: string; tokenized: string; withNewline: string }[];
};
const alone = (text: string): string => tokenizePtb([text, ''])[0]!;

describe('the tokeniser against Stanford CoreNLP 3.4.1', () => {
  const categories = Map.groupBy(golden.cases, ({ category }) => category);

  it.each([...categories])('%s', (_, cases) => {
    const found = cases.map(({ text }) => ({ text, raw: ptbLines([text, ''])[0]!, tokenized: alone(text) }));
    expect(found).toEqual(cases.map(({ text, raw, tokenized }) => ({ text, raw, tokenized })));
  });

  it('captions see the beginning of the next one', () => {
    for (const { captions, tokenized, eachAloneWithNewline } of golden.contextCases) {
      expect(tokenizePtb(captions)).toEqual(tokenized);
      expect(captions.map(alone)).toEqual(eachAloneWithNewline);
    }
  });

  it('the last caption ends with the text', () => {
    for (const { text, raw, tokenized, withNewline } of golden.lastCaptionCases) {
      expect(ptbLines([text])).toEqual([raw]);
      expect(tokenizePtb([text])).toEqual([tokenized]);
      expect(alone(text)).toBe(withNewline);
    }
  });

  it('letters are those that Unicode had then', () => {
    // U+08A0, U+0527 and U+1885 were letters; U+08A1, U+0529 and U+1C90 came later, and digits of Sinhala too.
    const known = ['a\u08a0b', '\u0527', 'x\u1885y'];
    const unknown = ['a\u08a1b', '\u0529', 'x\u1c90y', '\u0de8'];
    expect(known.map(alone)).toEqual(known);
    expect(unknown.map(alone)).toEqual(['a b', '', 'x y', '']);
  });

  it('has the word lists of the lexer', () => {
    const lists = readMetrics('ptb-lexicon.json');
    const words = (entries: (string | { text: string; exact: number[] })[]): string[] =>
      entries.map((entry) =>
        typeof entry === 'string'
          ? entry
          : [...entry.text].map((one, at) => (entry.exact.includes(at) ? `!${one}` : one)).join(''),
      );
    const groups = (group: Record<string, never[]>): never[] =>
      Object.entries(group).flatMap(([name, entries]) => (name === 'about' ? [] : entries));
    const written = (text: string): string[] => text.trim().split(/\s+/);
    expect(written(lexicon.ABBREVIATIONS_INSIDE)).toEqual(words(groups(lists.abbrevA)));
    expect(written(lexicon.ABBREVIATIONS_BEFORE_NAMES)).toEqual(words(groups(lists.abbrevB)));
    expect(written(lexicon.ABBREVIATIONS_BEFORE_NUMBERS)).toEqual(lists.abbrevC.entries);
    expect(written(lexicon.SENTENCE_STARTS)).toEqual(words(lists.acronymStopWords.entries));
    expect(written(lexicon.HYPHEN_ACRONYMS)).toEqual(lists.fixedHyphenAcronyms.entries);
    expect(written(lexicon.FILE_EXTENSIONS)).toEqual(lists.fileExtensions);
    expect(written(lexicon.HOST_SUFFIXES)).toEqual(lists.hostSuffixes);
    expect(lexicon.ASSIMILATIONS).toEqual(lists.splitAssimilations);
    const ranges = (list: [string, string][]): string[] =>
      list.map(([first, last]) => (first === last ? first : `${first}-${last}`));
    expect(written(lexicon.LETTER_EXTRAS)).toEqual(ranges(lists.letterExtraRanges));
    expect(written(lexicon.SPACES)).toEqual(ranges(lists.spaceRanges));
    expect(written(lexicon.CURRENCIES)).toEqual(ranges(lists.currencyRanges));
    expect(written(lexicon.SENTENCE_PUNCTUATION)).toEqual(ranges(lists.sentencePunctuationRanges));
    expect(written(lexicon.QUOTES)).toEqual(ranges(lists.quoteCharacterRanges));
    expect(written(lexicon.SYMBOLS)).toEqual(ranges(lists.miscSymbolRanges));
  });
});

/** Texts in which the rules have much to do. */
const MARKS = `' " - . , & &amp; &quot; # $ :) % ( ) ...`.split(' ');
const WORDS = `Mr Inc a B U.S can not n't 's The www.x.com fig o 1 23 2/3 \u00ad é \u00a0 😀`.split(' ');
const fragment = fc.constantFrom(...MARKS, ...WORDS, ' ', '  ', '. ', '\n', '<a b="', '</a>', '@', '/');
const caption = fc.oneof(
  fc.array(fragment, { maxLength: 14 }).map((parts) => parts.join('')),
  fc.string({ maxLength: 20 }),
);

describe('the tokeniser', () => {
  it('gives one line a caption, without white space at the ends', () => {
    fc.assert(
      fc.property(fc.array(caption, { maxLength: 5 }), (captions) => {
        const tokenized = tokenizePtb(captions.map((text) => text.replaceAll('<', '')));
        expect(tokenized.length).toBe(captions.length);
        for (const text of tokenized) expect(text).toBe(text.replaceAll(/^ +| +$/g, ''));
      }),
    );
  });

  it('leaves plain words alone', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('dog', 'red', 'cars', 'zebra', 'two'), { minLength: 1 }), (words) => {
        expect(alone(words.join(' '))).toBe(words.join(' '));
      }),
    );
  });

  it('a word before a space has the same tokens wherever it stands', () => {
    const [remembering, plain] = [new PtbLexer(), new PtbLexer({ remembers: false })];
    const lists = [
      lexicon.ABBREVIATIONS_INSIDE,
      lexicon.ABBREVIATIONS_BEFORE_NAMES,
      lexicon.ABBREVIATIONS_BEFORE_NUMBERS,
      lexicon.SENTENCE_STARTS,
    ];
    const words = lists.flatMap((list) => list.trim().replaceAll(/[!?]/g, '').split(/\s+/));
    const chunk = fc.oneof(
      fc.constantFrom(
        ...words,
        ...words.map((one) => `${one}.`),
        'cannot',
        'gonna',
        'U.S.',
        "don't",
        'c',
        'F',
        'http',
        'www',
        'a',
      ),
      fc.constantFrom(
        "'",
        '(',
        ')',
        ':',
        '1',
        '1/2',
        '555',
        '<',
        '>',
        '.',
        '...',
        '$',
        '-',
        '&amp;',
        '@',
        '😀',
        "'s",
        '<a b="c',
        '"',
      ),
      fc.string({ minLength: 1, maxLength: 5 }),
    );
    const text = fc.array(chunk, { maxLength: 8 }).map((chunks) => chunks.join(' '));
    fc.assert(
      fc.property(text, (one) => {
        expect(remembering.tokens(one)).toEqual(plain.tokens(one));
      }),
      { numRuns: 300 },
    );
  });

  it('no captions, empty captions', () => {
    expect(tokenizePtb([])).toEqual([]);
    expect(tokenizePtb(['', ' ', '...', ''])).toEqual(['', '', '', '']);
  });

  it('the official dropped line ends shift captions; here they are spaces', () => {
    expect(tokenizePtb(['a\r\ndog', 'a\u2028cat'])).toEqual(['a dog', 'a cat']);
  });
});

describe('the automaton', () => {
  const rules = buildRules();
  const patterns = rules.map(({ token, before }) => (before === undefined ? token : sequence(token, before)));
  const classes = classify(new Set(patterns.flatMap(setsOf)));
  const automaton = new Automaton(patterns, classes);

  it('finds what a search through all rules finds', () => {
    fc.assert(
      fc.property(caption, (text) => {
        for (let start = 0; start < text.length; start += 1)
          expect(automaton.longest(text, start, new Set())).toEqual(naiveLongest(patterns, text, start));
      }),
      { numRuns: 60 },
    );
  });

  it('what it learns about a text changes nothing', () => {
    const row = fc
      .tuple(fc.constantFrom('a', '😀', 'a@', '<a b="', 'x.y', 'http://', '1-', "a'", '. '), fc.integer({ min: 30, max: 90 }))
      .map(([part, times]) => part.repeat(times));
    const text = fc.array(fc.oneof(row, caption), { minLength: 1, maxLength: 5 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (long) => {
        const deadEnds = new Set<number>();
        for (let start = 0; start < long.length; start += 1)
          expect(automaton.longest(long, start, deadEnds)).toEqual(automaton.longest(long, start, new Set()));
      }),
      { numRuns: 60 },
    );
  });

  it('units of one class are in the same sets', () => {
    const range = fc
      .tuple(fc.nat(0xffff), fc.nat(300))
      .map(([first, size]): CharacterSet => [[first, Math.min(0xffff, first + size)]]);
    fc.assert(
      fc.property(
        fc.array(fc.array(range, { minLength: 1, maxLength: 3 }).map(union), { maxLength: 5 }),
        fc.nat(0xffff),
        (sets, unit) => {
          const { classOf, classesOf } = classify(new Set(sets));
          for (const set of sets) {
            const isIn = set.some(([first, last]) => unit >= first && unit <= last);
            expect(classesOf.get(set)!.includes(classOf[unit]!)).toBe(isIn);
            expect(complement(set).some(([first, last]) => unit >= first && unit <= last)).toBe(!isIn);
          }
        },
      ),
    );
  });
});

/** Follows every way through every pattern. */
function naiveLongest(patterns: readonly Pattern[], text: string, start: number): { end: number; pattern: number } | undefined {
  let best: { end: number; pattern: number } | undefined;
  for (const [pattern, one] of patterns.entries()) {
    const end = Math.max(...naiveEnds(one, text, new Set([start])));
    if (end > start && (best === undefined || end > best.end)) best = { end, pattern };
  }
  return best;
}

function naiveEnds(pattern: Pattern, text: string, starts: ReadonlySet<number>): Set<number> {
  if (starts.size === 0) return new Set();
  switch (pattern.kind) {
    case 'unit':
      return new Set(
        [...starts]
          .filter(
            (at) =>
              at < text.length &&
              pattern.set.some(([first, last]) => text.charCodeAt(at) >= first && text.charCodeAt(at) <= last),
          )
          .map((at) => at + 1),
      );
    case 'sequence':
      return pattern.parts.reduce<ReadonlySet<number>>((ends, part) => naiveEnds(part, text, ends), starts) as Set<number>;
    case 'choice':
      return new Set(pattern.options.flatMap((option) => [...naiveEnds(option, text, starts)]));
    case 'repeat': {
      const ends = new Set<number>();
      let reached: ReadonlySet<number> = starts;
      for (let count = 0; count <= pattern.most && reached.size > 0; count += 1) {
        if (count >= pattern.least) for (const end of reached) ends.add(end);
        const next = naiveEnds(pattern.part, text, reached);
        reached = count >= pattern.least ? new Set([...next].filter((end) => !ends.has(end))) : next;
      }
      return ends;
    }
  }
}
