/** The longest n-gram of BLEU and CIDEr, in words. */
export const LONGEST = 4;

/** How often each n-gram occurs, for n from 1 to 4; words joined by spaces. */
export function nGrams(words: readonly string[]): Map<string, number>[] {
  return Array.from({ length: LONGEST }, (_, index) => {
    const counts = new Map<string, number>();
    for (let start = 0; start + index < words.length; start += 1) {
      const gram = words.slice(start, start + index + 1).join(' ');
      counts.set(gram, (counts.get(gram) ?? 0) + 1);
    }
    return counts;
  });
}
