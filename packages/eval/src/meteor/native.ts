import { InputError } from '@blip2/core/errors';
import type { CaptionScores, TokenizedCaptions } from '../captions/tokenizer.ts';
import { countChunks, resolveMatches, span } from './alignment.ts';
import { findMatches, wordForms } from './matches.ts';
import type { MeteorMatch, MeteorModule, MeteorTables, WordForms } from './matches.ts';
import { normalizeForMeteor } from './normalizer.ts';
import { addMeteorStatistics, meteorScore } from './statistics.ts';
import { FUNCTION_WORDS } from '../../data/meteor-words.ts';

const functionWords = new Set(FUNCTION_WORDS.trim().split(/\s+/));
const MODULES = 4; // fields of the statistics; those of modules that do not run are 0

/** What METEOR finds between a hypothesis and the best of its references. */
export interface MeteorSegment {
  readonly score: number;
  readonly statistics: readonly number[];
  /** Of the references the one with the highest score, the first of several, normalised. */
  readonly reference: string;
  readonly alignment: readonly MeteorMatch[];
}

/** How to run METEOR without Java. */
export interface NativeMeteorOptions {
  /** Synonyms, irregular forms and paraphrases. The tables of METEOR 1.5 give its values; there are none in this package. */
  readonly tables: MeteorTables;
  /** @default exact, stem and synonym, and paraphrase when the tables have any */
  readonly modules?: readonly MeteorModule[];
}

/**
 * METEOR 1.5 for English, computed here, with the caller's tables. Say which modules and tables a value was made with: only all four modules with
 * METEOR's own tables give what papers call METEOR.
 *
 * @returns The corpus value is that of the summed statistics, not the mean.
 * @throws {InputError} when an image has no references.
 *
 * Source: Denkowski and Lavie 2014; METEOR 1.5.
 */
export function nativeMeteor(captions: readonly TokenizedCaptions[], options: NativeMeteorOptions): CaptionScores {
  const forms = wordForms(options.tables);
  const segments = captions.map(({ candidate, references }) => bestSegment(candidate, references, options, forms));
  return {
    corpus: meteorScore(addMeteorStatistics(segments.map(({ statistics }) => statistics))),
    perImage: segments.map(({ score }) => score),
  };
}

/**
 * The best of the references for a hypothesis, with alignment and statistics.
 *
 * @throws {InputError} when there is no reference.
 */
export function meteorSegment(hypothesis: string, references: readonly string[], options: NativeMeteorOptions): MeteorSegment {
  return bestSegment(hypothesis, references, options, wordForms(options.tables));
}

function bestSegment(
  hypothesis: string,
  references: readonly string[],
  { tables, modules }: NativeMeteorOptions,
  forms: WordForms,
): MeteorSegment {
  const chosen = modules ?? (['exact', 'stem', 'synonym', ...(tables.paraphrases ? (['paraphrase'] as const) : [])] as const);
  const words = wordsOf(normalizeForMeteor(hypothesis));
  let best: MeteorSegment | undefined;
  for (const text of references) {
    const reference = normalizeForMeteor(text);
    const others = wordsOf(reference);
    const alignment = resolveMatches(findMatches(words, others, chosen, tables, forms), words.length);
    const statistics = count(words, others, alignment);
    const score = meteorScore(statistics);
    if (best === undefined || score > best.score) best = { score, statistics, reference, alignment };
  }
  if (best === undefined)
    throw new InputError('meteorSegment: got no references, expected at least one. Leave the image out, or add its captions.');
  return best;
}

/** All words that METEOR sees in captions: what tables have to know. */
export function meteorWords(captions: readonly TokenizedCaptions[]): Set<string> {
  return new Set(
    captions.flatMap(({ candidate, references }) =>
      [candidate, ...references].flatMap((text) => wordsOf(normalizeForMeteor(text))),
    ),
  );
}

function wordsOf(text: string): string[] {
  return text.split(/[ \t\n\v\f\r]+/).filter((word) => word !== '');
}

/** The 23 fields of METEOR's statistics. */
function count(words: readonly string[], others: readonly string[], alignment: readonly MeteorMatch[]): number[] {
  const isFunction = (word: string): boolean => functionWords.has(word.toLowerCase());
  const split = (some: readonly string[]): [content: number, functional: number] => {
    const functional = some.filter(isFunction).length;
    return [some.length - functional, functional];
  };
  const perModule = Array.from({ length: MODULES }, (_, module) => {
    const matches = alignment.filter((match) => match.module === module);
    const [content, functional] = split(
      matches.flatMap(({ other, otherLength }) => span(other, otherLength).map((at) => words[at]!)),
    );
    const [otherContent, otherFunctional] = split(
      matches.flatMap(({ start, length }) => span(start, length).map((at) => others[at]!)),
    );
    return [content, otherContent, functional, otherFunctional];
  });
  const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
  return [
    words.length,
    others.length,
    split(words)[1],
    split(others)[1],
    ...perModule.flat(),
    countChunks(alignment),
    sum(alignment.map(({ otherLength }) => otherLength)),
    sum(alignment.map(({ length }) => length)),
  ];
}
