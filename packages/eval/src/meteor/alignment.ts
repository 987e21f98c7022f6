import type { MeteorMatch } from './matches.ts';

const BEAM = 40; // METEOR 1.5's default

/** Matches of a path, the last one first. */
interface Chain {
  readonly match: MeteorMatch;
  readonly before: Chain | undefined;
}

/** What orders paths, and where they are. */
interface Progress {
  /** Covered words of both sides, weighted and cut to whole numbers, as the reference has it. */
  readonly weight: number;
  readonly otherWeight: number;
  readonly chunks: number;
  readonly distance: number;
  /** The first word of the reference that is not decided. */
  readonly next: number;
  /** Where the last match ends in the hypothesis; -1 when its chunk is closed. */
  readonly last: number;
}

/** A way of choosing matches for the words of the reference so far. */
interface Path extends Progress {
  readonly chosen: Chain | undefined;
  /** Words of the hypothesis that are used, fixed matches included. */
  readonly otherUsed: UsedWords;
}

/** A path that may come to be: another one, with a match more or without. */
interface Candidate extends Progress {
  readonly from: Path;
  readonly match: MeteorMatch | undefined;
}

/**
 * Chooses matches that do not overlap: most words, then fewest chunks, then the smallest distance, by beam search.
 *
 * @param matches - As `findMatches` gives them.
 *
 * The reference makes every path that can be, sorts them and keeps 40. Here the best 40 are kept as paths are thought of, and made afterwards; what
 * is kept is the same, since both keep the order of equal ones.
 * Source: METEOR 1.5 `Aligner.resolve`.
 */
export function resolveMatches(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): MeteorMatch[] {
  const fixed = fixedMatches(matches, hypothesisLength);
  const isFixed = new Uint8Array(matches.length); // words of the reference in fixed matches
  for (const { start, length } of fixed.values()) isFixed.fill(1, start, start + length);
  const otherUsed = [...fixed.values()].reduce(withUsed, noneUsed(hypothesisLength));
  const start = { weight: 0, otherWeight: 0, chunks: 0, distance: 0, next: 0, last: -1, chosen: undefined, otherUsed };
  let paths: readonly Path[] = [start];
  for (let word = 0; word <= matches.length; word += 1) {
    const best = new Best();
    for (const path of paths) extend(best, path, word, matches, fixed, isFixed);
    paths = best.candidates.length > 0 ? best.candidates.map(toPath) : paths.slice(0, 1);
  }
  const chosen: MeteorMatch[] = [];
  for (let chain = paths[0]!.chosen; chain !== undefined; chain = chain.before) chosen.push(chain.match);
  return chosen.toReversed();
}

/** Matches without rival: alone at their word, and all their words in no other match. */
function fixedMatches(matches: readonly (readonly MeteorMatch[])[], hypothesisLength: number): Map<number, MeteorMatch> {
  const covered = new Uint32Array(matches.length);
  const otherCovered = new Uint32Array(hypothesisLength);
  for (const list of matches) {
    for (const { start, length, other, otherLength } of list) {
      for (let word = start; word < start + length; word += 1) covered[word]! += 1;
      for (let word = other; word < other + otherLength; word += 1) otherCovered[word]! += 1;
    }
  }
  const alone = matches
    .filter((list) => list.length === 1)
    .map(([match]) => match!)
    .filter(({ start, length }) => span(start, length).every((word) => covered[word] === 1))
    .filter(({ other, otherLength }) => span(other, otherLength).every((word) => otherCovered[word] === 1));
  return new Map(alone.map((match) => [match.start, match]));
}

/** Offers what a path may become at a word of the reference, in METEOR's order. */
function extend(
  best: Best,
  path: Path,
  word: number,
  matches: readonly (readonly MeteorMatch[])[],
  fixed: ReadonlyMap<number, MeteorMatch>,
  isFixed: Uint8Array,
): void {
  const closed = path.last === -1 ? path.chunks : path.chunks + 1;
  if (word === matches.length) {
    best.offer(path, undefined, { ...path, chunks: closed });
    return;
  }
  // Words after the last match are used by fixed matches alone.
  if (word < path.next) {
    best.offer(path, undefined, path);
    return;
  }
  if (isFixed[word] === 1) {
    const match = fixed.get(path.next);
    if (match !== undefined) best.offer(path, match, added(path, match, path.distance + Math.abs(match.start - match.other)));
    return;
  }
  let { distance } = path;
  for (const match of matches[word]!) {
    if (!isFree(isFixed, match.start, match.length) || isUsed(path.otherUsed, match)) continue;
    best.offer(path, match, added(path, match, distance));
    distance += Math.abs(match.start - match.other); // upstream adds it to the path without the match
  }
  const { weight, otherWeight } = path;
  best.offer(path, undefined, { weight, otherWeight, chunks: closed, distance, next: path.next + 1, last: -1 });
}

function added(path: Path, match: MeteorMatch, distance: number): Progress {
  const weight = match.module === 0 ? 1 : 0.5; // upstream's weights for the search alone
  return {
    weight: Math.trunc(path.weight + match.otherLength * weight),
    otherWeight: Math.trunc(path.otherWeight + match.length * weight),
    chunks: path.last !== -1 && match.other !== path.last ? path.chunks + 1 : path.chunks,
    distance,
    next: match.start + match.length,
    last: match.other + match.otherLength,
  };
}

/** The best paths so far, best first; of equal ones the earlier first. */
class Best {
  readonly candidates: Candidate[] = [];

  offer(from: Path, match: MeteorMatch | undefined, { weight, otherWeight, chunks, distance, next, last }: Progress): void {
    const { candidates } = this;
    const candidate = { weight, otherWeight, chunks, distance, next, last, from, match };
    let place = candidates.length;
    while (place > 0 && isBetter(candidate, candidates[place - 1]!)) place -= 1;
    if (place >= BEAM) return;
    candidates.splice(place, 0, candidate);
    if (candidates.length > BEAM) candidates.pop();
  }
}

function isBetter(one: Progress, other: Progress): boolean {
  const more = one.weight + one.otherWeight - (other.weight + other.otherWeight);
  if (more !== 0) return more > 0;
  if (one.chunks !== other.chunks) return one.chunks < other.chunks;
  return one.distance < other.distance;
}

function toPath({ from, match, weight, otherWeight, chunks, distance, next, last }: Candidate): Path {
  const chosen = match === undefined ? from.chosen : { match, before: from.chosen };
  const otherUsed = match === undefined ? from.otherUsed : withUsed(from.otherUsed, match);
  return { weight, otherWeight, chunks, distance, next, last, chosen, otherUsed };
}

/**
 * For each word whether it is used, a bit each: 32 of them in a mask, at most 16 masks in a part. Parts are never changed, and paths share
 * them: one match more copies a part and the list, a few numbers for a caption and not many for a long text.
 */
type UsedWords = readonly (readonly number[])[];

const MASK_BITS = 5;
const MASKS = 16;
const PART_BITS = 9; // 16 masks of 32 words

function noneUsed(words: number): UsedWords {
  const part = Array<number>(Math.min(MASKS, (words >> MASK_BITS) + 1)).fill(0);
  return Array.from({ length: (words >> PART_BITS) + 1 }, () => part);
}

function withUsed(used: UsedWords, { other, otherLength }: MeteorMatch): UsedWords {
  const parts = used.slice();
  for (let word = other; word < other + otherLength; word += 1) {
    const number = word >> PART_BITS;
    const part = parts[number] === used[number] ? used[number]!.slice() : (parts[number] as number[]);
    part[maskOf(word)]! |= 1 << (word & 31);
    parts[number] = part;
  }
  return parts;
}

function maskOf(word: number): number {
  return (word >> MASK_BITS) & (MASKS - 1);
}

function isUsed(used: UsedWords, { other, otherLength }: MeteorMatch): boolean {
  for (let word = other; word < other + otherLength; word += 1)
    if ((used[word >> PART_BITS]![maskOf(word)]! & (1 << (word & 31))) !== 0) return true;
  return false;
}

function isFree(isFixed: Uint8Array, start: number, length: number): boolean {
  for (let word = start; word < start + length; word += 1) if (isFixed[word] === 1) return false;
  return true;
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
