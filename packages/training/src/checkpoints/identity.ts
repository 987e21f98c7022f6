import { InputError } from '@blip2/core';
import type { JsonValue } from '../trainer/batch-source.ts';

/** Where two JSON values differ, by path, in the order of keys. Keys may come in any order. */
export function differences(found: JsonValue, expected: JsonValue, path = ''): string[] {
  if (isRecord(found) && isRecord(expected)) {
    const keys = [...new Set([...Object.keys(expected), ...Object.keys(found)])];
    return keys.flatMap((key) => differences(own(found, key), own(expected, key), path === '' ? key : `${path}.${key}`));
  }
  const [left, right] = [show(found), show(expected)];
  return left === right ? [] : [`${path === '' ? 'the recipe' : path} is ${left} there and ${right} here`];
}

function own(record: Readonly<Record<string, JsonValue>>, key: string): JsonValue {
  return Object.hasOwn(record, key) ? record[key]! : (undefined as never);
}

/** Lists are records by index, so that one number of a long list is named and not the whole. */
function isRecord(value: JsonValue): value is Readonly<Record<string, JsonValue>> {
  return typeof value === 'object' && value !== null;
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}

/**
 * Checks that a value comes back from JSON as it was. Properties that are `undefined` may be left out.
 *
 * @param what - For the message.
 * @throws {InputError} naming the first part that would be lost or changed.
 */
export function assertJson(value: unknown, what: string, path = ''): void {
  const fail = (found: string): InputError =>
    new InputError(
      `checkpoint: ${what}${path === '' ? '' : `, at ${path},`} is ${found}, expected what JSON can hold: null, booleans, finite numbers, texts, lists, plain objects. Convert it.`,
    );
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return;
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return;
    throw fail(String(value));
  }
  if (typeof value !== 'object') throw fail(value === undefined ? 'undefined' : `a ${typeof value}`);
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype && Object.getPrototypeOf(value) !== null)
    throw fail(`a ${value.constructor.name}`);
  for (const [key, child] of Object.entries(value)) {
    if (child !== undefined || Array.isArray(value)) assertJson(child, what, path === '' ? key : `${path}.${key}`);
  }
}
