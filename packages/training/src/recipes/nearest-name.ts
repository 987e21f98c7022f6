/**
 * What somebody probably meant: the known name that takes the fewest changes of letters.
 *
 * @returns `undefined` when none is near: less than half of its letters would stay.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance <= Math.max(name.length, candidate.length) / 2 && distance < (best?.distance ?? Number.POSITIVE_INFINITY))
      best = { name: candidate, distance };
  }
  return best?.name;
}

/** Letters that are put in, taken out or changed. Source: Levenshtein; Wagner and Fischer. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [row, letter] of [...from].entries()) {
    const present = [row + 1];
    for (const [column, other] of [...to].entries()) {
      const changed = previous[column]! + (letter === other ? 0 : 1);
      present.push(Math.min(changed, previous[column + 1]! + 1, present[column]! + 1));
    }
    previous = present;
  }
  return previous[to.length]!;
}
