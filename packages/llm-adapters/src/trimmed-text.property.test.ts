import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TrimmedText } from './trimmed-text.ts';

it('joined, its pieces are the trimmed text', () => {
  const piece = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '\n', '\t') });
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const trimmed = new TrimmedText();
      const shown = pieces.map((text) => trimmed.push(text));
      expect(shown.join('')).toBe(pieces.join('').trim());
    }),
  );
});
