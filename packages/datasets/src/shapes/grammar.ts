/** English, as far as the world needs it. */

const COUNT_WORDS = ['no', 'one', 'two', 'three', 'four', 'five'] as const;

/** "two" for 2; up to five. */
export function countWord(count: number): string {
  return COUNT_WORDS[count]!;
}

/** "a" or "an", by the letter that follows. */
export function article(next: string): string {
  return /^[aeiou]/.test(next) ? 'an' : 'a';
}

/** "circles", "crosses". */
export function plural(noun: string): string {
  return /(?:s|x|ch|sh)$/.test(noun) ? `${noun}es` : `${noun}s`;
}

/** "x", "x and y", "x, y and z". */
export function joinList(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`;
}
