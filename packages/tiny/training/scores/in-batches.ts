const AT_ONCE = 25;

/** A list through a function that takes some of it at a time. */
export async function inBatches<Item, Result>(
  items: readonly Item[],
  run: (some: readonly Item[]) => Promise<readonly Result[]>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let begin = 0; begin < items.length; begin += AT_ONCE) results.push(...(await run(items.slice(begin, begin + AT_ONCE))));
  return results;
}
