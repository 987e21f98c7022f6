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
