import { positionIn, scanJson } from './json-scan.ts';

/** The value of a JSON text, or what is wrong with it, in words that fit after the file's name. */
export type ParsedJson = { readonly value: unknown } | { readonly problem: string };

/** The text of UTF-8 bytes, without a byte order mark; `undefined` when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Parses JSON text.
 *
 * @param options.refuseDuplicates - An object with the same key twice is a problem too. @default false
 */
export function parseJsonText(text: string, options: { readonly refuseDuplicates?: boolean } = {}): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { problem: describeProblem(text) };
  }
  if (options.refuseDuplicates === true && scanJson(text) !== undefined) return { problem: describeProblem(text) };
  return { value };
}

function describeProblem(text: string): string {
  const problem = scanJson(text);
  if (problem === undefined) return 'is not valid JSON';
  const position = positionIn(text, problem.offset);
  if (problem.kind === 'duplicate') return `has the key ${quote(problem.detail)} a second time at ${position}`;
  const found = problem.offset >= text.length ? 'the end of the text' : quote(text.slice(problem.offset, problem.offset + 12));
  return `is broken JSON: found ${found} at ${position}, expected ${problem.detail}`;
}

/** Text from a file as it may stand in a message: quoted, control characters escaped, not too long. */
export function quote(text: string): string {
  const escaped = JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}…` : text).slice(1, -1);
  return `'${escaped}'`;
}
