/** White space as Python's `str.split()` knows it; JavaScript's `\s` lacks U+001C to U+001F and U+0085, and has U+FEFF. */
const WHITE_SPACE = '\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const RUN = new RegExp(`[${WHITE_SPACE}]+`);
const ONE = new RegExp(`[${WHITE_SPACE}]`);

/** The words between runs of Unicode white space, without empty ones: Python's `split()`. */
export function splitWords(text: string): string[] {
  return text.split(RUN).filter((word) => word !== '');
}

/** The text without white space at both ends: Python's `strip()`. */
export function strip(text: string): string {
  const kept = stripEnd(text);
  let start = 0;
  while (start < kept.length && ONE.test(kept[start]!)) start += 1;
  return kept.slice(start);
}

/** The text without white space at its end: Python's `rstrip()`. A regular expression would look for the end from each space of a long row. */
export function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && ONE.test(text[end - 1]!)) end -= 1;
  return text.slice(0, end);
}
