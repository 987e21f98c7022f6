import { describe, expect, it } from 'vitest';
import { expectRelative, readMetrics } from '../__fixtures__/metrics.ts';
import { parseWordTables } from '../word-tables.ts';
import type { MeteorModule, MeteorTables } from './matches.ts';
import { meteorSegment, nativeMeteor } from './native.ts';
import { normalizeForMeteor } from './normalizer.ts';
import { parseParaphrases } from './paraphrases.ts';
import { stemEnglish } from './stemmer.ts';
import * as tables from '../../data/meteor-words.ts';

const golden = readMetrics('meteor.json') as {
  normalizer: { text: string; normalized: string }[];
  stems: [word: string, stem: string][];
  tinyResources: {
    synsets: Record<string, number[]>;
    exceptions: Record<string, string[]>;
    paraphrases: [number, string, string][];
  };
  segments: {
    hypothesis: string;
    references: string[];
    stats: string;
    score: number;
    best: {
      hypothesis: string;
      reference: string;
      matches: [start: number, length: number, other: number, otherLength: number, module: number][];
    };
  }[];
  final: Record<string, number>;
  otherModules: Record<string, { scores: number[]; final: number }>;
};

/** In the form of METEOR's files. */
const lines = (table: Record<string, readonly (string | number)[]>): string =>
  Object.entries(table)
    .map(([word, values]) => `${word}\n${values.join(' ')}\n`)
    .join('');
const resources: MeteorTables = {
  ...parseWordTables(lines(golden.tinyResources.synsets), lines(golden.tinyResources.exceptions)),
  paraphrases: parseParaphrases(golden.tinyResources.paraphrases.map((entry) => `${entry.join('\n')}\n`).join('')),
};
const captions = golden.segments.map(({ hypothesis, references }) => ({ candidate: hypothesis, references }));

describe('METEOR without Java, against METEOR 1.5 with small tables', () => {
  it('normalises texts', () => {
    expect(golden.normalizer.map(({ text }) => normalizeForMeteor(text))).toEqual(
      golden.normalizer.map(({ normalized }) => normalized),
    );
  });

  it('stems words', () => {
    expect(golden.stems.map(([word]) => [word, stemEnglish(word)])).toEqual(golden.stems);
    expect(['eyygbance', 'uyydization'].map(stemEnglish)).toEqual(['eyygb', 'uyyd']); // Snowball: of two y the second stays a vowel
  });

  it('aligns, counts and scores', () => {
    for (const { hypothesis, references, stats, score, best } of golden.segments) {
      const found = meteorSegment(hypothesis, references, { tables: resources });
      expect(found.statistics).toEqual(stats.split(' ').map(Number));
      expect(found.score).toBeCloseTo(score, 9);
      expect(found.reference).toBe(best.reference);
      const matches = found.alignment.map(({ start, length, other, otherLength, module }) => [
        start,
        length,
        other,
        otherLength,
        module,
      ]);
      expect(matches.toSorted(([a], [b]) => a! - b!)).toEqual(best.matches);
    }
    expectRelative([nativeMeteor(captions, { tables: resources }).corpus], [golden.final['Final score']!]);
  });

  it.each(Object.keys(golden.otherModules))('with the modules %s', (name) => {
    const modules = name.split('_') as MeteorModule[];
    const { corpus, perImage } = nativeMeteor(captions, { tables: resources, modules });
    const { scores, final } = golden.otherModules[name]!;
    expectRelative([corpus, ...perImage], [final, ...scores]);
  });

  it('has the tables of METEOR', () => {
    const { functionWords, nonbreaking } = readMetrics('meteor-tables.json') as {
      functionWords: string[];
      nonbreaking: { always: string[]; beforeDigit: string[] };
    };
    expect(tables.FUNCTION_WORDS.trim().split(/\s+/)).toEqual(functionWords);
    expect(tables.KEEP_PERIOD.trim().split(/\s+/)).toEqual(nonbreaking.always);
    expect(tables.KEEP_PERIOD_BEFORE_DIGIT.split(' ')).toEqual(nonbreaking.beforeDigit);
  });

  it('needs a reference', () => {
    expect(() => meteorSegment('a dog', [], { tables: resources })).toThrowErrorMatchingInlineSnapshot(
      `[InputError: meteorSegment: got no references, expected at least one. Leave the image out, or add its captions.]`,
    );
  });
});
