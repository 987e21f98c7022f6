import { InputError } from '@blip2/core/errors';

/**
 * The id of an image or a question, as JSON gives it. Ids are compared by value: the number 1 and the string `'1'` are different
 * ids, as they are for the official scorers.
 */
export type Id = number | string;

/** Up to five ids, in words. */
export function listIds(ids: readonly Id[]): string {
  const shown = ids.slice(0, 5).map((id) => (typeof id === 'string' ? `'${id}'` : String(id)));
  return ids.length > shown.length ? `${shown.join(', ')} and ${ids.length - shown.length} more` : shown.join(', ');
}

/** One item by id of a list; what the duplicates do is the caller's decision. */
export interface IndexOptions {
  /** `'throw'`: an id that comes twice is an error. `'first'`: the first item counts, as in LAVIS. @default 'throw' */
  readonly duplicates?: 'throw' | 'first';
}

/**
 * The items of a list by their id, in the order of the list.
 *
 * @param options - Where duplicates may be allowed.
 * @throws {InputError} when an id comes twice.
 */
export function indexById<Item>(
  where: string,
  items: readonly Item[],
  idOf: (item: Item) => Id,
  options?: IndexOptions,
): Map<Id, Item> {
  if (!Array.isArray(items))
    throw new InputError(
      `${where}: got ${items === null || typeof items !== 'object' ? typeof items : `an object with the keys ${Object.keys(items).join(', ')}`}, expected a list. ` +
        `Pass the list inside the file, such as its annotations.`,
    );
  const byId = new Map<Id, Item>();
  const twice = new Set<Id>();
  for (const item of items) {
    const id = idOf(item);
    if (typeof id !== 'number' && typeof id !== 'string')
      throw new InputError(
        `${where}: an entry has the id ${JSON.stringify(id)}, expected a number or a string. Check the names of its keys.`,
      );
    if (byId.has(id)) twice.add(id);
    else byId.set(id, item);
  }
  if (twice.size > 0 && options?.duplicates !== 'first') {
    throw new InputError(
      `${where}: ${twice.size} ${twice.size === 1 ? 'id comes' : 'ids come'} more than once (${listIds([...twice])}), expected one entry an id. ` +
        `Remove the duplicates${options === undefined ? '.' : ", or pass duplicates: 'first' to keep the first entry of each."}`,
    );
  }
  return byId;
}

/**
 * Checks that results answer exactly what is asked.
 *
 * @throws {InputError} when an expected id has no result, or a result has an id that nobody expects.
 */
export function assertSameIds(
  where: string,
  given: ReadonlyMap<Id, unknown>,
  expected: ReadonlyMap<Id, unknown>,
  what: string,
): void {
  assertKnownIds(where, given, expected, what);
  const missing = [...expected.keys()].filter((id) => !given.has(id));
  if (missing.length > 0) {
    throw new InputError(
      `${where}: ${missing.length} of ${expected.size} ${what} have no result (${listIds(missing)}), expected one for each. ` +
        `Add the results, or score a subset on purpose.`,
    );
  }
}

/**
 * Checks that all results are about something that is known.
 *
 * @throws {InputError} when one is not.
 */
export function assertKnownIds(
  where: string,
  given: ReadonlyMap<Id, unknown>,
  known: ReadonlyMap<Id, unknown>,
  what: string,
): void {
  const unknown = [...given.keys()].filter((id) => !known.has(id));
  if (unknown.length === 0) return;
  const other = unknown.find((id) => known.has(typeof id === 'string' ? Number(id) : String(id)));
  throw new InputError(
    `${where}: ${unknown.length} ${unknown.length === 1 ? 'result has an id' : 'results have ids'} that the ${what} lack (${listIds(unknown)}). ` +
      (other === undefined
        ? `Check that results and annotations belong to the same split.`
        : `Ids are compared by value, and ${listIds([other])} is there as a ${typeof other === 'string' ? 'number' : 'string'}: write ids alike on both sides.`),
  );
}

/**
 * Checks that what a model said is a text: a number would never equal an answer, and score 0 in silence.
 *
 * @throws {InputError} when one is not.
 */
export function assertTexts(where: string, id: Id, texts: readonly unknown[]): void {
  for (const text of texts)
    if (typeof text !== 'string')
      throw new InputError(
        `${where} ${listIds([id])} has ${JSON.stringify(text) ?? String(text)}, expected a text. Check the names of the keys, or correct what wrote it.`,
      );
}

/** Sum in list order, over the number of values. @throws {InputError} when there is none. */
export function mean(where: string, values: readonly number[]): number {
  if (values.length === 0)
    throw new InputError(`${where}: nothing to score, expected at least one entry. Check the files or the subset.`);
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}
