import { expect, it } from 'vitest';
import { messageOf } from './__fixtures__/metrics.ts';
import { evaluateCaptions } from './captions/evaluate.ts';
import { tokenizePtb } from './captions/ptb/tokenizer.ts';
import { nativeMeteor } from './meteor/native.ts';
import { cleanVqaAnswer, normalizeVqaAnswer } from './vqa/normalization.ts';
import { vqaAccuracy } from './vqa/vqa.ts';
import { normalizeForMeteor } from './meteor/normalizer.ts';

// Texts of 100,000 words are scored as any other. These tests would not end, or would overflow the stack, if something were quadratic
// in one text, or worse than that in two.

const WORDS = 100_000;
/** Words that recur as seldom as in a long text. */
const long = Array.from({ length: WORDS }, (_, index) => `w${(index * index) % 9973}`).join(' ');
const short = 'a man rides a wave on w1 w4 w9';
const noTables = { synsets: new Map(), exceptions: new Map() };

it('as a candidate and as a reference', () => {
  const { corpus, perImage } = evaluateCaptions({
    references: new Map([
      [1, [short, 'a wave']],
      [2, [long, short]],
      [3, [long]],
    ]),
    candidates: new Map([
      [1, long],
      [2, short],
      [3, long],
    ]),
  });
  expect(perImage.get(3)).toMatchObject({ ROUGE_L: 1 });
  expect(perImage.get(3)!.Bleu_4).toBeCloseTo(1, 9);
  expect(Object.values(corpus).every(Number.isFinite)).toBe(true);
});

it('METEOR without Java takes one beside a caption, and refuses two of them', () => {
  const options = { tables: noTables };
  const pairs = [
    { candidate: long, references: [short] },
    { candidate: short, references: [long] },
  ];
  expect(nativeMeteor(pairs, options).perImage.every((score) => score > 0 && score < 1)).toBe(true);
  const both = [{ candidate: `${long} a`, references: [long] }];
  expect(messageOf(() => nativeMeteor(both, options))).toMatchInlineSnapshot(
    `"METEOR: a candidate and a reference of 100001 and 100000 words have more than a million pairs of words that match, expected captions. Shorten the longer one."`,
  );
});

it('whatever it is made of', () => {
  const rows = ['<a b="', 'a@b.', 'http://', '😀', "'", '.', '-', 'a.', '1,', '\u00a0', '(', 'É'];
  for (const part of rows) expect(tokenizePtb([part.repeat(WORDS), 'a dog']).at(-1), part).toBe('a dog');
  const gap = `x${' '.repeat(WORDS)}b`;
  expect([cleanVqaAnswer(gap), normalizeVqaAnswer(gap)]).toEqual([gap, 'x b']);
  expect(normalizeForMeteor(`a${'\u0001'.repeat(WORDS)}b`)).toContain('\u0001 b');
  expect(vqaAccuracy(long, [short, long, long, long, long])).toBe(1);
});
