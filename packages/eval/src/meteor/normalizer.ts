import { KEEP_PERIOD, KEEP_PERIOD_BEFORE_DIGIT, LETTERS, SPACES } from '../../data/meteor-words.ts';

const keepPeriod = new Set(KEEP_PERIOD.trim().split(/\s+/));
const keepPeriodBeforeDigit = new Set(KEEP_PERIOD_BEFORE_DIGIT.split(' '));

const [letter, notLetter, notLetterOrDigit, wordUnit] = [`[${LETTERS}]`, `[^${LETTERS}]`, `[^${LETTERS}0-9]`, `[${LETTERS}0-9]`];

const UNICODE_SPACES = new RegExp(`[${SPACES}]+`, 'g');
const LETTER = new RegExp(letter);

/** What is done to the whole text, in order; each replaces without overlap, so that a neighbour is used up. */
const STEPS: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [new RegExp(`([^${LETTERS}0-9\\t-\\r .'\`\\u2018\\u2019,-])`, 'gu'), ' $1 '],
  [/(\.{2,})/g, ' $1 '],
  [/([^0-9]),([^0-9])/g, '$1 , $2'],
  [/([0-9]),([^0-9])/g, '$1 , $2'],
  [/([^0-9]),([0-9])/g, '$1 , $2'],
  [/[`\u2018\u2019]/g, "'"],
  [/[\u201c\u201d]|''/g, ' " '],
  [/\u2013/g, '-'],
  [/--/g, '-'],
  [new RegExp(`([${LETTERS}0-9.])-(${wordUnit})`, 'g'), '$1 $2'],
  [new RegExp(`(${notLetter})'(${notLetter})`, 'g'), "$1 ' $2"],
  [new RegExp(`(${notLetterOrDigit})'(${letter})`, 'g'), "$1 ' $2"],
  [new RegExp(`(${letter})'(${notLetter})`, 'g'), "$1 ' $2"],
  [new RegExp(`(${letter})'(${letter})`, 'g'), "$1 '$2"],
  [/([0-9])'(s)/g, "$1 '$2"],
];

/**
 * A text as METEOR's `-norm` makes it: marks apart, lower case.
 *
 * Source: METEOR 1.5 `Normalizer`, which follows the Moses tokeniser.
 */
export function normalizeForMeteor(text: string): string {
  const apart = STEPS.reduce((line, [pattern, replacement]) => line.replaceAll(pattern, replacement), ` ${text} `);
  const words = apart.split(/[ \t\n\r\f]+/).filter((word) => word !== '');
  const line = words.map((word, index) => withPeriod(word, words[index + 1] ?? '')).join(' ');
  return trim(line.replaceAll(UNICODE_SPACES, ' ')).toLowerCase();
}

/** Without characters up to the space at both ends: Java's `trim()`. A regular expression would be slow on long rows of them. */
function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text.charCodeAt(start) <= 0x20) start += 1;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end -= 1;
  return text.slice(start, end);
}

/** Keeps the period of a word, parts it, or takes those of an acronym away. */
function withPeriod(word: string, next: string): string {
  if (word.length === 1 || !word.endsWith('.') || /^\.+$/.test(word)) return word;
  const before = word.slice(0, -1);
  if (before.includes('.') && LETTER.test(before)) return word.replaceAll('.', '');
  if (keepPeriod.has(before) || /^[a-z]/.test(next) || (keepPeriodBeforeDigit.has(before) && /^[0-9]/.test(next))) return word;
  return `${before} .`;
}
