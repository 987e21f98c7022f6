import { STEM_EXCEPTIONS, STEMS_KEPT } from '../../data/snowball-words.ts';

// Porter's second English stemmer, as Snowball 1 has it: https://snowballstem.org/algorithms/english/stemmer.html

const VOWEL = /[aeiouy]/;
const DOUBLE = /(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/;
const EXCEPTIONS: ReadonlyMap<string, string> = new Map(
  STEM_EXCEPTIONS.trim()
    .split(/\s+/)
    .map((pair) => pair.split(':') as [string, string]),
);
const UNCHANGED = new Set(STEMS_KEPT.trim().split(/\s+/));

/** Steps 2 to 4: the longest suffix that fits decides, whether its condition holds or not. */
const STEP_2 =
  pairs(`tional:tion enci:ence anci:ance abli:able entli:ent izer:ize ization:ize ational:ate ation:ate ator:ate alism:al aliti:al
  alli:al fulness:ful ousli:ous ousness:ous iveness:ive iviti:ive biliti:ble bli:ble ogi:og fulli:ful lessli:less li:`);
const STEP_3 = pairs('tional:tion ational:ate alize:al icate:ic iciti:ic ical:ic ful: ness: ative:');
const STEP_4 = pairs('al: ance: ence: er: ic: able: ible: ant: ement: ment: ent: ism: ate: iti: ous: ive: ize: ion:');

type Suffix = readonly [suffix: string, replacement: string];

/** The stem of an English word in lower case. */
export function stemEnglish(word: string): string {
  const exception = EXCEPTIONS.get(word);
  if (exception !== undefined) return exception;
  if (word.length <= 2) return word;
  const marked = word
    .replace(/^'/, '')
    .replace(/^y/, 'Y')
    .replaceAll(/([aeiouy])y/g, '$1Y');
  const [first, second] = regions(marked);
  let stem = stepOneA(marked.replace(/(?:'s'|'s|')$/, ''));
  if (UNCHANGED.has(stem)) return stem;
  stem = stepOneB(stem, first);
  stem = stem.replace(/(?<=.[^aeiouy])[yY]$/, 'i');
  stem = replaceSuffix(stem, STEP_2, (start, suffix, before) => {
    if (suffix === 'ogi') return start >= first && before.endsWith('l');
    if (suffix === 'li') return start >= first && /[cdeghkmnrt]$/.test(before);
    return start >= first;
  });
  stem = replaceSuffix(stem, STEP_3, (start, suffix) => start >= (suffix === 'ative' ? Math.max(first, second) : first));
  stem = replaceSuffix(stem, STEP_4, (start, suffix, before) => start >= second && (suffix !== 'ion' || /[st]$/.test(before)));
  return stepFive(stem, first, second).replaceAll('Y', 'y');
}

/** Where R1 and R2 begin: after the first non-vowel after a vowel, and again within R1. */
function regions(word: string): [first: number, second: number] {
  const after = (start: number): number => {
    const found = /[aeiouy][^aeiouy]/.exec(word.slice(start));
    return found === null ? word.length : start + found.index + 2;
  };
  const prefix = /^(?:gener|commun|arsen)/.exec(word);
  const first = prefix === null ? after(0) : prefix[0].length;
  return [first, after(first)];
}

function stepOneA(word: string): string {
  if (word.endsWith('sses')) return word.slice(0, -2);
  if (/ie[ds]$/.test(word)) return word.slice(0, word.length > 4 ? -2 : -1);
  if (/[us]s$/.test(word)) return word;
  return /[aeiouy].+s$/.test(word) ? word.slice(0, -1) : word;
}

function stepOneB(word: string, first: number): string {
  const eed = /eed(?:ly)?$/.exec(word);
  if (eed !== null) return eed.index >= first ? `${word.slice(0, eed.index)}ee` : word;
  const ending = /(?:ing|ed)(?:ly)?$/.exec(word);
  if (ending === null || !VOWEL.test(word.slice(0, ending.index))) return word;
  const stem = word.slice(0, ending.index);
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  if (DOUBLE.test(stem)) return stem.slice(0, -1);
  return first >= stem.length && endsShort(stem) ? `${stem}e` : stem;
}

function stepFive(word: string, first: number, second: number): string {
  const end = word.length - 1;
  if (word.endsWith('e') && (end >= second || (end >= first && !endsShort(word.slice(0, -1))))) return word.slice(0, -1);
  return word.endsWith('ll') && end >= second ? word.slice(0, -1) : word;
}

/** True when a word ends with a short syllable. */
function endsShort(word: string): boolean {
  return /[^aeiouy][aeiouy][^aeiouywxY]$|^[aeiouy][^aeiouy]$/.test(word);
}

function replaceSuffix(
  word: string,
  suffixes: readonly Suffix[],
  fits: (start: number, suffix: string, before: string) => boolean,
): string {
  const found = suffixes.find(([suffix]) => word.endsWith(suffix));
  if (found === undefined) return word;
  const before = word.slice(0, word.length - found[0].length);
  return fits(before.length, found[0], before) ? before + found[1] : word;
}

/** Longest first, so that the first that fits is the longest. */
function pairs(text: string): Suffix[] {
  return text
    .split(/\s+/)
    .map((pair) => pair.split(':') as [string, string])
    .toSorted(([a], [b]) => b.length - a.length);
}
