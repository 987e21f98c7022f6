// What the lexer's rules write for the text they matched.

/** Stands for the end of a caption; no token is this text, because a line feed is never part of one. */
export const LINE_BREAK = '\n';

export function nothing(): string {
  return '';
}

export function withoutSoftHyphens(text: string): string {
  return text.includes('\u00ad') ? text.replaceAll('\u00ad', '') || '-' : text;
}

/** Spaces that do not part words. */
export function withoutBreaks(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}

export function withAmpersands(text: string): string {
  return text.replaceAll(/&amp;/gi, '&');
}

export function withBrackets(text: string): string {
  return text.replaceAll('(', '-LRB-').replaceAll(')', '-RRB-');
}

const BRACKETS: Readonly<Record<string, string>> = {
  '{': '-LCB-',
  '}': '-RCB-',
  '[': '-LSB-',
  ']': '-RSB-',
  '(': '-LRB-',
  ')': '-RRB-',
};

export function bracket(text: string): string {
  return BRACKETS[text]!;
}

const FRACTIONS: Readonly<Record<string, string>> = {
  '\u00bc': '1/4',
  '\u00bd': '1/2',
  '\u00be': '3/4',
  '\u2153': '1/3',
  '\u2154': '2/3',
};

export function fraction(text: string): string {
  return FRACTIONS[text] ?? text;
}

const CURRENCIES: Readonly<Record<string, string>> = {
  '\u00a2': 'cents',
  '\u00a3': '#',
  '\u0080': '$',
  '\u00a4': '$',
  '\u20a0': '$',
  '\u20ac': '$',
};

export function currency(text: string): string {
  return CURRENCIES[text] ?? text;
}

export function openingQuotes(text: string): string {
  return asciiQuotes(text, '`');
}

export function closingQuotes(text: string): string {
  return asciiQuotes(text, "'");
}

/** Quotes that do not say whether they open or close become what the rule says; the others are plain by themselves. */
function asciiQuotes(text: string, single: string): string {
  return text
    .replaceAll(/'|&apos;/g, single)
    .replaceAll(/"|&quot;/g, single + single)
    .replaceAll(/[\u0091\u2018\u201b\u2039]/g, '`')
    .replaceAll(/[\u0092\u2019\u203a]/g, "'")
    .replaceAll(/[\u0093\u201c\u00ab]/g, '``')
    .replaceAll(/[\u0094\u201d\u00bb]/g, "''");
}
