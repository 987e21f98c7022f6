import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scanJson } from './json-scan.ts';
import { decodeUtf8, parseJsonText } from './parse-json.ts';

function isValid(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function hasSyntaxError(text: string): boolean {
  return scanJson(text)?.kind === 'syntax';
}

test('what JSON.parse takes, the scan takes', () => {
  fc.assert(
    fc.property(fc.json(), fc.integer({ min: 0, max: 4 }), (text, indent) => {
      expect(scanJson(JSON.stringify(JSON.parse(text), null, indent))).toBeUndefined();
    }),
  );
});

test('what JSON.parse refuses, the scan refuses, and nothing else', () => {
  const fragments = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"',
    '\\',
    '\\u00',
    '1',
    '-',
    '01',
    '1.',
    '1e',
    '1e5',
    'true',
    'tru',
    'null',
    ' ',
    '\n',
    '\t',
    '\u0000',
    'é',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...fragments), { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      if (scanJson(text)?.kind !== 'duplicate') expect(hasSyntaxError(text)).toBe(!isValid(text));
    }),
    { numRuns: 5000 },
  );
});

test('every cut and every changed character of a text is judged as JSON.parse judges it', () => {
  const text = '{"a": [1, -2.5e+3, {"b\\u00e9": null}], "c": "x\\n", "d": {}, "e": []}';
  for (let index = 0; index <= text.length; index++) {
    expect(hasSyntaxError(text.slice(0, index))).toBe(!isValid(text.slice(0, index)));
    for (const character of '{}[],:"\\x0 ') {
      const changed = text.slice(0, index) + character + text.slice(index + 1);
      if (scanJson(changed)?.kind !== 'duplicate') expect(hasSyntaxError(changed), changed).toBe(!isValid(changed));
    }
  }
});

test('keys that come twice are found at any depth; the same key in two objects is fine', () => {
  expect(scanJson('{"a":{"x":1},"b":[{"x":1},{"x":2}]}')).toBeUndefined();
  expect(scanJson('{"a":[{"x":1,"x":2}]}')).toEqual({ kind: 'duplicate', offset: 13, detail: 'x' });
  expect(scanJson('{"x":1,"\\u0078":2}')).toEqual({ kind: 'duplicate', offset: 7, detail: 'x' });
  expect(scanJson('{"__proto__":1,"__proto__":2}')?.kind).toBe('duplicate');
});

test('problems are told in words, with line and column', () => {
  const problems = ['', '{', '{"a":1,}', '{"a" 1}', '[1 2]', '{"a":"x\ny"}', '{"a":1}\n\n}', '{"a": NaN}', '{a: 1}', '"\\x"'].map(
    (text) => parseJsonText(text),
  );
  expect(problems).toMatchInlineSnapshot(`
    [
      {
        "problem": "is broken JSON: found the end of the text at line 1, column 1, expected a value",
      },
      {
        "problem": "is broken JSON: found the end of the text at line 1, column 2, expected a quoted key or '}'",
      },
      {
        "problem": "is broken JSON: found '}' at line 1, column 8, expected a quoted key",
      },
      {
        "problem": "is broken JSON: found '1}' at line 1, column 6, expected ':'",
      },
      {
        "problem": "is broken JSON: found '2]' at line 1, column 4, expected ',' or ']'",
      },
      {
        "problem": "is broken JSON: found '\\"x\\ny\\"}' at line 1, column 6, expected a value",
      },
      {
        "problem": "is broken JSON: found '}' at line 3, column 1, expected the end",
      },
      {
        "problem": "is broken JSON: found 'NaN}' at line 1, column 7, expected a value",
      },
      {
        "problem": "is broken JSON: found 'a: 1}' at line 1, column 2, expected a quoted key or '}'",
      },
      {
        "problem": "is broken JSON: found '\\"\\\\x\\"' at line 1, column 1, expected a value",
      },
    ]
  `);
  expect(parseJsonText('{"a":1,"a":2}')).toEqual({ value: { a: 2 } });
  expect(parseJsonText('{"a":1,\n "a":2}', { refuseDuplicates: true })).toMatchInlineSnapshot(`
    {
      "problem": "has the key 'a' a second time at line 2, column 2",
    }
  `);
});

test('a byte order mark is passed over, other bytes must be UTF-8', () => {
  expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x7b))).toBe('{');
  expect(decodeUtf8(Uint8Array.of(0xc3, 0x28))).toBeUndefined();
});
