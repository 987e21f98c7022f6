import { InputError } from '@blip2/core';
import { expand } from 'brace-expansion';

/** More names than any data set has shards. */
const MOST_SHARDS = 100_000;

/**
 * The names that a pattern stands for: `cc3m/{00000..00331}.tar` is 332 files. Ranges keep their leading zeros; alternatives
 * are written `{train,val}`.
 *
 * @param pattern - One pattern or name, or several.
 * @throws {InputError} when there are none, a name comes twice, or there are more than 100,000.
 *
 * @example
 * expandShards('{0..2}.tar'); // ['0.tar', '1.tar', '2.tar']
 */
export function expandShards(pattern: string | readonly string[]): string[] {
  const patterns = typeof pattern === 'string' ? [pattern] : pattern;
  const names: string[] = [];
  for (const one of patterns) {
    names.push(...(one.includes('{') ? expand(one, { max: MOST_SHARDS + 1 }) : [one]));
    if (names.length <= MOST_SHARDS) continue;
    throw new InputError(`expandShards: '${one}' names more than ${MOST_SHARDS} shards, expected fewer. Check the ranges.`);
  }
  if (names.length === 0) throw new InputError('expandShards: got no names, expected at least one. Pass a pattern.');
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) {
      throw new InputError(`expandShards: the shard '${name}' comes twice, expected each once. Check the patterns.`);
    }
    seen.add(name);
  }
  return names;
}
