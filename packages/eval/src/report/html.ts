/** A piece of HTML that is safe to put into a page. Made by {@link html} and {@link trustedHtml} alone. */
export class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What may stand in a template: HTML as it is, lists of it, and everything else as text. `undefined` and `false` are nothing. */
export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

/**
 * A template whose values are escaped unless they are {@link Html}: texts of models and of people cannot become part of the page. Values
 * stand between tags, or in attributes with double quotes.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(strings.reduce((before, string, index) => before + toMarkup(values[index - 1]) + string));
}

/** HTML that was made elsewhere and holds no text of strangers that is not escaped. */
export function trustedHtml(text: string): Html {
  return new Html(text);
}

function toMarkup(value: HtmlValue): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.markup;
  return typeof value === 'object' ? value.map(toMarkup).join('') : escapeText(String(value));
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeText(text: string): string {
  return cleanText(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const NOT_SHOWN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text without what HTML cannot hold and what would turn the text around it: control characters, half surrogate pairs and controls of
 * direction become the replacement character. Texts from right to left stay so.
 */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(NOT_SHOWN, '\ufffd');
}

/** The beginning of a text, which says how long it was. */
export function clipped(text: string, length: number): string {
  const clean = cleanText(text);
  return clean.length <= length
    ? clean
    : `${clean.slice(0, length).toWellFormed()}… (${clean.length.toLocaleString('en')} characters)`;
}
