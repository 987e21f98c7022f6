/** A set of UTF-16 code units: inclusive ranges in ascending order, none touching the next. */
export type CharacterSet = readonly (readonly [first: number, last: number])[];

const LAST_UNIT = 0xffff;

/** Units of a string, each one itself. */
export function charactersOf(text: string): CharacterSet {
  return union(text.split('').map((character) => [[character.charCodeAt(0), character.charCodeAt(0)]]));
}

/** Units from one character to another, `az` for a to z; and numbers, each pair a range. */
export function range(first: string | number, last: string | number): CharacterSet {
  const code = (one: string | number): number => (typeof one === 'number' ? one : one.charCodeAt(0));
  return [[code(first), code(last)]];
}

/** Units that are in any of the sets. */
export function union(sets: readonly CharacterSet[]): CharacterSet {
  const sorted = sets.flat().toSorted(([a], [b]) => a - b);
  const merged: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** Units that are in no set. */
export function complement(...sets: readonly CharacterSet[]): CharacterSet {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [first, last] of union(sets)) {
    if (first > next) rest.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST_UNIT) rest.push([next, LAST_UNIT]);
  return rest;
}

/** Units of one set that another lacks. */
export function without(set: CharacterSet, other: CharacterSet): CharacterSet {
  return complement(complement(set), other);
}

/** Units of the basic plane that a regular expression matches, one at a time. */
export function unitsMatching(pattern: RegExp): CharacterSet {
  const ranges: [number, number][] = [];
  for (let unit = 0; unit <= LAST_UNIT; unit += 1) {
    if (!pattern.test(String.fromCharCode(unit))) continue;
    const previous = ranges.at(-1);
    if (previous !== undefined && previous[1] === unit - 1) previous[1] = unit;
    else ranges.push([unit, unit]);
  }
  return ranges;
}

/** Ranges written in hexadecimal: `'00AD 0237-024F'`. */
export function unitRanges(text: string): CharacterSet {
  return union(
    text
      .trim()
      .split(/\s+/)
      .map((one) => one.split('-'))
      .map(([first, last]) => [[Number.parseInt(first!, 16), Number.parseInt(last ?? first!, 16)]]),
  );
}

/**
 * Numbers the units so that two units have the same number when every set has both or neither.
 *
 * @returns The class of each unit, and for each set the classes it consists of.
 */
export function classify(sets: Iterable<CharacterSet>): {
  classOf: Uint16Array;
  count: number;
  classesOf: Map<CharacterSet, number[]>;
} {
  const all = [...sets];
  const starts = [...new Set([0, ...all.flatMap((set) => set.flatMap(([first, last]) => [first, last + 1]))])]
    .filter((unit) => unit <= LAST_UNIT)
    .toSorted((a, b) => a - b);
  const members = starts.map(() => [] as number[]); // for each stretch between starts, the sets that have it
  const indexOf = new Map(starts.map((start, index) => [start, index]));
  for (const [number, set] of all.entries())
    for (const [first, last] of set)
      for (let index = indexOf.get(first)!; index < starts.length && starts[index]! <= last; index += 1)
        members[index]!.push(number);

  const classOf = new Uint16Array(LAST_UNIT + 1);
  const numbers = new Map<string, number>();
  const classesOf = new Map<CharacterSet, number[]>(all.map((set) => [set, []]));
  for (const [index, start] of starts.entries()) {
    const signature = members[index]!.join();
    let number = numbers.get(signature);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(signature, number);
      for (const set of members[index]!) classesOf.get(all[set]!)!.push(number);
    }
    classOf.fill(number, start, starts[index + 1] ?? LAST_UNIT + 1);
  }
  return { classOf, count: numbers.size, classesOf };
}
