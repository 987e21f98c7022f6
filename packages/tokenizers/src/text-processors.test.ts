import { describe, expect, it } from 'vitest';
import { processCaption, processQuestion } from './index.ts';

const fiftyOne = Array.from({ length: 51 }, (_, index) => `w${index}`).join(' ');

describe('processCaption', () => {
  it.each([
    ['A Man (left) & a "dog"... #fun!', 'a man left & a dog fun'],
    ["What's this, a well-known and/or new thing?", "what's this, a well-known and/or new thing?"],
    ['  many   spaces\t\tand tabs  ', 'many spaces and tabs'],
    ['single\ttab stays', 'single\ttab stays'],
    ['ends in a newline\n', 'ends in a newline'],
    ['a*b~c:d;e', 'a b c d e'],
    ['', ''],
    ['...', ''],
  ])('%j becomes %j', (text, expected) => {
    expect(processCaption(text)).toBe(expected);
  });

  it('keeps 50 words, or as many as it is told', () => {
    expect(processCaption(fiftyOne).split(' ')).toHaveLength(50);
    expect(processCaption('one two three', { maxWords: 2 })).toBe('one two');
  });

  it('puts the prompt in front', () => {
    expect(processCaption('A cat.', { prompt: 'a photo of ' })).toBe('a photo of a cat');
  });
});

describe('processQuestion', () => {
  it.each([
    ['What is "this"?', 'what is this?'],
    ['Is it 3.5 (or 4)?', 'is it 35 or 4?'],
    [" Who's there, A-B/C?  ", " who's there, a-b/c?"],
    ['Two  spaces', 'two  spaces'],
  ])('%j becomes %j', (text, expected) => {
    expect(processQuestion(text)).toBe(expected);
  });

  it('keeps 50 words', () => {
    expect(processQuestion(fiftyOne).split(' ')).toHaveLength(50);
  });

  it('takes linear time on a million spaces, and counts as the original: each space ends a word', () => {
    const text = `a${' '.repeat(1_000_000)}b`;
    const begin = performance.now();
    expect(processQuestion(text)).toHaveLength(50);
    expect(processCaption(text)).toBe('a b');
    expect(performance.now() - begin).toBeLessThan(5000);
  });
});
