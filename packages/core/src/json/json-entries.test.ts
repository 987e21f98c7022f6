import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type JsonEntry, JsonEntryScanner } from './json-entries.ts';

/** What the scanner makes of a text that comes in pieces of the given size. */
function scan(text: string, pieceBytes = 1e6, isWanted?: (key: string) => boolean): JsonEntry[] {
  const bytes = new TextEncoder().encode(text);
  const entries: JsonEntry[] = [];
  const scanner = new JsonEntryScanner((entry) => entries.push(entry), isWanted);
  for (let at = 0; at < bytes.length; at += pieceBytes) scanner.push(bytes.slice(at, at + pieceBytes));
  scanner.end();
  return entries;
}

/** The same through JSON.parse of the whole text. */
function naive(text: string): JsonEntry[] {
  const whole = JSON.parse(text) as unknown[] | Record<string, unknown>;
  const list = (key: string | undefined, values: readonly unknown[]): JsonEntry[] =>
    values.map((value, index) => ({ key, index, value }));
  if (Array.isArray(whole)) return list(undefined, whole);
  if (typeof whole !== 'object' || whole === null) throw new Error('neither list nor object');
  return Object.entries(whole).flatMap(([key, value]) =>
    Array.isArray(value) ? list(key, value) : [{ key, index: undefined, value }],
  );
}

const container = fc
  .oneof(
    fc.array(fc.jsonValue(), { maxLength: 5 }),
    // Integer keys would change their order in the naive version, and __proto__ would set a prototype.
    fc.dictionary(
      fc.string().filter((key) => !/^\d+$/.test(key) && key !== '__proto__'),
      fc.jsonValue(),
      { maxKeys: 5 },
    ),
  )
  .chain((value) => fc.integer({ min: 0, max: 3 }).map((indent) => JSON.stringify(value, null, indent)));

it('gives what JSON.parse gives, however the text is cut into pieces', () => {
  fc.assert(
    fc.property(container, fc.integer({ min: 1, max: 40 }), (text, pieceBytes) => {
      expect(scan(text, pieceBytes)).toEqual(naive(text));
    }),
    { numRuns: 1000 },
  );
});

it('takes what JSON.parse takes of texts with a flaw, and nothing else', () => {
  const text = '{"a": [1, {"b": "x\\"]"}, []], "c": {"d": [2]}, "é": null, "e": []}';
  const list = '[{"a": 1}, [2, "3"], -4.5e1, true]';
  let accepted = 0;
  for (const original of [text, list]) {
    for (let at = 0; at <= original.length; at++) {
      const variants = [original.slice(0, at), original.slice(0, at) + original.slice(at + 1)];
      for (const character of '{}[],:"\\x0 ') variants.push(original.slice(0, at) + character + original.slice(at));
      for (const variant of variants) {
        let expected: JsonEntry[] | undefined;
        try {
          expected = naive(variant);
        } catch {
          expect(() => scan(variant, 7), variant).toThrow();
          continue;
        }
        accepted++;
        expect(scan(variant, 7), variant).toEqual(expected);
      }
    }
  }
  expect(accepted).toBeGreaterThan(100);
});

it('passes over values that are not wanted without reading them', () => {
  const text = '{"info": {"x": [nonsense]}, "images": [{"id": 1}], "licenses": [also nonsense], "n": 5}';
  expect(scan(text, 9, (key) => key === 'images')).toEqual([{ key: 'images', index: 0, value: { id: 1 } }]);
});

it('says what is wrong and where', () => {
  const texts = [
    '[1, {"a": [NaN]}]',
    '{"a": {"b": ["NaN", -Infinity]}}',
    '["NaN", nul]',
    '',
    '5',
    '{"a": [1, 2',
    '{"a"',
    '[1, x]',
    '{"a": [1, 2 3]}',
    '[] 5',
    '[1}',
    '{"a": 1,}',
    '"a"',
    '{"a": [} ]}',
  ];
  const messages = texts.map((text) => {
    try {
      scan(text);
    } catch (error) {
      return `${text} ${(error as Error).message}`;
    }
    return `${text} is fine`;
  });
  expect(messages).toMatchInlineSnapshot(`
    [
      "[1, {"a": [NaN]}] has NaN, which JSON does not know (entry 1)",
      "{"a": {"b": ["NaN", -Infinity]}} has -Infinity, which JSON does not know (after 'a')",
      "["NaN", nul] is broken JSON (entry 1)",
      " is empty",
      "5 is no JSON list or object",
      "{"a": [1, 2 ends in the middle (entry 1 of 'a')",
      "{"a" ends in the middle (after '{')",
      "[1, x] is broken JSON (entry 1)",
      "{"a": [1, 2 3]} is broken JSON (entry 1 of 'a')",
      "[] 5 goes on after its end",
      "[1} is broken JSON (entry 0)",
      "{"a": 1,} is broken JSON (after 'a')",
      ""a" is no JSON list or object",
      "{"a": [} ]} is broken JSON (entry 0 of 'a')",
    ]
  `);
});

it('passes over a byte order mark, in however many pieces it comes', () => {
  for (const pieceBytes of [1, 2, 3, 4, 100]) expect(scan('\ufeff[1, "\ufeff2"]', pieceBytes)).toEqual(naive('[1, "\ufeff2"]'));
  expect(() => scan('\ufeff', 1)).toThrow('is empty');
});

it('does not read a piece again that was filled anew', () => {
  const entries: unknown[] = [];
  const scanner = new JsonEntryScanner(({ value }) => entries.push(value));
  const piece = new Uint8Array(1);
  for (const byte of new TextEncoder().encode('["abc", {"d": 12}]')) {
    piece[0] = byte;
    scanner.push(piece);
  }
  expect(entries).toEqual(['abc', { d: 12 }]);
});

it('refuses bytes that are not UTF-8, and an entry without end', () => {
  const scanner = new JsonEntryScanner(() => undefined);
  expect(() => scanner.push(Uint8Array.of(0x5b, 0x22, 0xc3, 0x28, 0x22, 0x5d))).toThrow('is not UTF-8 (entry 0)');
  for (const bytes of [Uint8Array.of(0xff, 0xfe, 0x5b, 0), Uint8Array.of(0xef, 0x5b, 0x5d)])
    expect(() => new JsonEntryScanner(() => undefined).push(bytes)).toThrow('is not UTF-8 (at its beginning)');
  const endless = new JsonEntryScanner(() => undefined);
  const piece = new Uint8Array(2 ** 22).fill(0x61);
  endless.push(new TextEncoder().encode('{"a": ["'));
  expect(() => {
    for (let index = 0; index < 20; index++) endless.push(piece);
  }).toThrowErrorMatchingInlineSnapshot(`[Error: has more than 64 MiB in one place (entry 0 of 'a')]`);
});
