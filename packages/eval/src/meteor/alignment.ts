import type { MeteorMatch } from './matches.ts';

const BEAM = 40; // METEOR 1.5's default

/** A way of choosing matches for the words of the reference so far. */
interface Path {
  readonly chosen: MeteorMatch[];
  readonly used: Set<number>; // words of the reference
  readonly otherUsed: Set<number>; // words of the hypothesis
  /** Covered words of both sides, weighted and cut to whole numbers, as the reference has it. */
  weight: number;
  otherWeight: number;
  chunks: number;
  next: number;
  /** Where the last match ends in the hypothesis; -1 when its chunk is closed. */
  last: number;
  distance: number;
}

/**
 * Chooses matches that do not overlap: most words, then fewest chunks, then the smallest distance, by beam search.
 *
 * @param matches - As `findMatches` gives them.
 *
 * Source: METEOR 1.5 `Aligner.resolve`.
 */
export function resolveMatches(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): MeteorMatch[] {
  const fixed = fixedMatches(matches, hypothesisLength);
  const used = new Set([...fixed.values()].flatMap(({ start, length }) => span(start, length)));
  const otherUsed = new Set([...fixed.values()].flatMap(({ other, otherLength }) => span(other, otherLength)));
  let paths: Path[] = [{ chosen: [], used, otherUsed, weight: 0, otherWeight: 0, chunks: 0, next: 0, last: -1, distance: 0 }];
  for (let word = 0; word <= matches.length; word += 1) {
    const best = sorted(paths).slice(0, BEAM);
    const going = best.flatMap((path) => extend(path, word, matches, fixed));
    paths = going.length > 0 ? going : best.slice(0, 1);
  }
  return sorted(paths)[0]!.chosen;
}

/** Matches without rival: alone at their word, and all their words in no other match. */
function fixedMatches(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): Map<number, MeteorMatch> {
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

function extend(
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
    add(path, match);
    path.distance += Math.abs(match.start - match.other);
    return [path];
  }
  const going: Path[] = [];
  for (const match of matches[word]!) {
    const [words, others] = [span(match.start, match.length), span(match.other, match.otherLength)];
    if (words.some((one) => path.used.has(one)) || others.some((one) => path.otherUsed.has(one))) continue;
    const copy = {
      ...path,
      chosen: [...path.chosen],
      used: new Set([...path.used, ...words]),
      otherUsed: new Set([...path.otherUsed, ...others]),
    };
    add(copy, match);
    going.push(copy);
    path.distance += Math.abs(match.start - match.other); // upstream adds it to the path without the match
  }
  if (path.last !== -1) {
    path.chunks += 1;
    path.last = -1;
  }
  path.next += 1;
  return [...going, path];
}

function add(path: Path, match: MeteorMatch): void {
  const weight = match.module === 0 ? 1 : 0.5; // upstream's weights for the search alone
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

/** Runs of matches that follow each other on both sides. */
export function countChunks(alignment: readonly MeteorMatch[]): number {
  let chunks = 0;
  let [next, otherNext] = [-1, -1];
  for (const { start, length, other, otherLength } of alignment.toSorted((a, b) => a.start - b.start)) {
    if (start !== next || other !== otherNext) chunks += 1;
    next = start + length;
    otherNext = other + otherLength;
  }
  return chunks;
}

export function span(start: number, length: number): number[] {
  return Array.from({ length }, (_, index) => start + index);
}
