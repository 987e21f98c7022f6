import fc from 'fast-check';
import { expect, it } from 'vitest';
import { resolveMatches, span } from './alignment.ts';
import { findMatches, type MeteorMatch, type MeteorModule } from './matches.ts';
import { parseParaphrases } from './paraphrases.ts';

/** The search as METEOR writes it: every path is made, all are sorted, 40 are kept. */
interface Path {
  chosen: MeteorMatch[];
  used: Set<number>;
  otherUsed: Set<number>;
  weight: number;
  otherWeight: number;
  chunks: number;
  next: number;
  last: number;
  distance: number;
}

function naiveMatches(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): MeteorMatch[] {
  const fixed = naiveFixed(matches, hypothesisLength);
  const used = new Set([...fixed.values()].flatMap(({ start, length }) => span(start, length)));
  const otherUsed = new Set([...fixed.values()].flatMap(({ other, otherLength }) => span(other, otherLength)));
  let paths: Path[] = [{ chosen: [], used, otherUsed, weight: 0, otherWeight: 0, chunks: 0, next: 0, last: -1, distance: 0 }];
  for (let word = 0; word <= matches.length; word += 1) {
    const best = sorted(paths).slice(0, 40);
    const going = best.flatMap((path) => naiveExtend(path, word, matches, fixed));
    paths = going.length > 0 ? going : best.slice(0, 1);
  }
  return sorted(paths)[0]!.chosen;
}

function naiveFixed(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): Map<number, MeteorMatch> {
  const covered = matches.map(() => 0);
  const otherCovered = Array.from({ length: hypothesisLength }, () => 0);
  for (const { start, length, other, otherLength } of matches.flat()) {
    for (const word of span(start, length)) covered[word]! += 1;
    for (const word of span(other, otherLength)) otherCovered[word]! += 1;
  }
  const alone = matches
    .filter((list) => list.length === 1)
    .map(([match]) => match!)
    .filter(({ start, length }) => span(start, length).every((word) => covered[word] === 1))
    .filter(({ other, otherLength }) => span(other, otherLength).every((word) => otherCovered[word] === 1));
  return new Map(alone.map((match) => [match.start, match]));
}

function naiveExtend(
  path: Path,
  word: number,
  matches: readonly (readonly MeteorMatch[])[],
  fixed: ReadonlyMap<number, MeteorMatch>,
): Path[] {
  if (word === matches.length) {
    if (path.last !== -1) path.chunks += 1;
    return [path];
  }
  if (path.used.has(word)) {
    if (word < path.next) return [path];
    const match = fixed.get(path.next);
    if (match === undefined) return [];
    naiveAdd(path, match);
    path.distance += Math.abs(match.start - match.other);
    return [path];
  }
  const going: Path[] = [];
  for (const match of matches[word]!) {
    const [words, others] = [span(match.start, match.length), span(match.other, match.otherLength)];
    if (words.some((one) => path.used.has(one)) || others.some((one) => path.otherUsed.has(one))) continue;
    const copy = { ...path, chosen: [...path.chosen], used: new Set([...path.used, ...words]) };
    copy.otherUsed = new Set([...path.otherUsed, ...others]);
    naiveAdd(copy, match);
    going.push(copy);
    path.distance += Math.abs(match.start - match.other);
  }
  if (path.last !== -1) {
    path.chunks += 1;
    path.last = -1;
  }
  path.next += 1;
  return [...going, path];
}

function naiveAdd(path: Path, match: MeteorMatch): void {
  const weight = match.module === 0 ? 1 : 0.5;
  path.chosen.push(match);
  path.weight = Math.trunc(path.weight + match.otherLength * weight);
  path.otherWeight = Math.trunc(path.otherWeight + match.length * weight);
  if (path.last !== -1 && match.other !== path.last) path.chunks += 1;
  path.next = match.start + match.length;
  path.last = match.other + match.otherLength;
}

function sorted(paths: readonly Path[]): Path[] {
  return paths.toSorted(
    (a, b) => b.weight + b.otherWeight - (a.weight + a.otherWeight) || a.chunks - b.chunks || a.distance - b.distance,
  );
}

const MODULES: readonly MeteorModule[] = ['exact', 'stem', 'synonym', 'paraphrase'];
const words = fc.array(fc.constantFrom('a', 'dog', 'dogs', 'hound', 'runs', 'run', 'fast', 'b', 'c', 'd', 'e'), {
  maxLength: 14,
});
const tables = {
  synsets: new Map([
    ['dog', [1]],
    ['hound', [1, 2]],
    ['fast', [3]],
    ['b', [3]],
  ]),
  exceptions: new Map(),
  paraphrases: parseParaphrases('1\na dog\nb\n1\nruns fast\nc d\n1\nb\na a\n1\nd e\ndog\n'),
};

it('equals the search that makes every path', () => {
  fc.assert(
    fc.property(words, words, (hypothesis, reference) => {
      const matches = findMatches(hypothesis, reference, MODULES, tables);
      expect(resolveMatches(matches, hypothesis.length)).toEqual(naiveMatches(matches, hypothesis.length));
    }),
    { numRuns: 1000 },
  );
});

it('also where matches stand anywhere', () => {
  const match = fc.record({
    start: fc.nat(7),
    length: fc.integer({ min: 1, max: 3 }),
    other: fc.nat(7),
    otherLength: fc.integer({ min: 1, max: 3 }),
    module: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(match, { maxLength: 20 }), (all) => {
      const matches = Array.from({ length: 10 }, (_, word) => all.filter(({ start }) => start === word));
      expect(resolveMatches(matches, 10)).toEqual(naiveMatches(matches, 10));
    }),
    { numRuns: 1000 },
  );
});
