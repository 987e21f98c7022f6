/** What {@link scanJson} found wrong, and where. */
export interface JsonProblem {
  readonly kind: 'syntax' | 'duplicate';
  /** Index into the text. */
  readonly offset: number;
  /** For `syntax`: what should stand there. For `duplicate`: the repeated key. */
  readonly detail: string;
}

/** What may come next: a value, the end of a container, a key, a colon or a comma. */
type State = 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or }' | ', or ]' | 'end';

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;

/**
 * Checks a text against the JSON grammar and looks for keys that an object has twice. `JSON.parse` keeps the last
 * of two equal keys in silence, and says in each engine differently, or not at all, where a text is broken.
 * Iterative, so that deep nesting in a hostile file costs no stack.
 *
 * Source: RFC 8259.
 *
 * @returns the first problem, or `undefined`.
 */
export function scanJson(text: string): JsonProblem | undefined {
  const keysOfObjects: (Set<string> | undefined)[] = []; // one entry an open container; arrays have no keys
  let state: State = 'value';
  let at = skipSpace(text, 0);
  const afterValue = (): State => {
    if (keysOfObjects.length === 0) return 'end';
    return keysOfObjects.at(-1) === undefined ? ', or ]' : ', or }';
  };
  for (; state !== 'end' || at < text.length; at = skipSpace(text, at)) {
    const character = text[at];
    const closes = (character === '}' && state.endsWith('}')) || (character === ']' && state.endsWith(']'));
    if (closes) {
      keysOfObjects.pop();
      state = afterValue();
      at++;
    } else if (state.startsWith('value') && (character === '{' || character === '[')) {
      keysOfObjects.push(character === '{' ? new Set() : undefined);
      state = character === '{' ? 'key or }' : 'value or ]';
      at++;
    } else if (state.startsWith('value')) {
      const end = endOfScalar(text, at);
      if (end === undefined) return syntaxProblem(at, state);
      state = afterValue();
      at = end;
    } else if (state.startsWith('key')) {
      const end = character === '"' ? endOfString(text, at) : undefined;
      if (end === undefined) return syntaxProblem(at, state);
      const key = JSON.parse(text.slice(at, end)) as string;
      const keys = keysOfObjects.at(-1)!;
      if (keys.has(key)) return { kind: 'duplicate', offset: at, detail: key };
      keys.add(key);
      state = ':';
      at = end;
    } else if (state !== 'end' && character === state[0]) {
      state = state === ', or }' ? 'key' : 'value';
      at++;
    } else {
      return syntaxProblem(at, state);
    }
  }
  return undefined;
}

/** `line 3, column 14` of an offset, both from 1. */
export function positionIn(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n');
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
}

function syntaxProblem(offset: number, state: State): JsonProblem {
  const expected: Record<State, string> = {
    value: 'a value',
    'value or ]': "a value or ']'",
    key: 'a quoted key',
    'key or }': "a quoted key or '}'",
    ':': "':'",
    ', or }': "',' or '}'",
    ', or ]': "',' or ']'",
    end: 'the end',
  };
  return { kind: 'syntax', offset, detail: expected[state] };
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\r' || text[at] === '\t') at++;
  return at;
}

function endOfScalar(text: string, at: number): number | undefined {
  if (text[at] === '"') return endOfString(text, at);
  for (const pattern of [NUMBER, LITERAL]) {
    pattern.lastIndex = at;
    if (pattern.test(text)) return pattern.lastIndex;
  }
  return undefined;
}

/** The index after a string's closing quote; `undefined` for a string that is broken or does not end. */
function endOfString(text: string, begin: number): number | undefined {
  let at = begin + 1;
  for (; at < text.length && text[at] !== '"'; at++) {
    if (text.charCodeAt(at) < 0x20) return undefined;
    if (text[at] !== '\\') continue;
    at++;
    const escape = text[at] ?? '';
    if (escape === 'u' && /^[\da-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) at += 4;
    else if (escape === '' || !'"\\/bfnrt'.includes(escape)) return undefined;
  }
  return at < text.length ? at + 1 : undefined;
}
