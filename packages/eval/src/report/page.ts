import { type Html, html, type HtmlValue, trustedHtml } from './html.ts';

/** How reports look; light or dark as the reader's system has it. */
const STYLE = `
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #ffffff; --ink: #1d2126; --quiet: #5d646d; --rule: #e4e4e0; --bar: #8fb3e3; --accent: #1f66d1; --better: #2d8a4e; --worse: #c5532d; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1b1e23; --ink: #e8e9eb; --quiet: #9aa2ad; --rule: #30353d; --bar: #4d6f9f; --accent: #7fb2ff; --better: #4fb574; --worse: #e57a52; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1480px; padding: 2.5rem clamp(1rem, 4vw, 3rem) 3rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.7rem; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 2.8rem 0 0.9rem; font-size: 1.2rem; font-weight: 600; }
h3 { margin: 1.4rem 0 0.7rem; font-size: 1rem; font-weight: 600; }
p { max-width: 75ch; margin: 0 0 0.9rem; }
header p { margin: 0.3rem 0 0; color: var(--quiet); }
.tiles { display: flex; flex-wrap: wrap; gap: 0.7rem 2.6rem; margin: 1.6rem 0 0; }
.tiles dt { color: var(--quiet); font-size: 0.82rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.tiles .main dd { font-size: 2rem; line-height: 1.2; color: var(--accent); }
.quiet { color: var(--quiet); font-size: 0.88rem; }
.cards { columns: 400px; column-gap: 1rem; }
figure { margin: 0 0 1rem; break-inside: avoid; padding: 0.9rem 1rem 0.8rem; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; min-width: 0; }
figcaption { margin-bottom: 0.5rem; font-size: 0.88rem; color: var(--quiet); }
figcaption h3 { margin: 0 0 0.1rem; color: var(--ink); }
svg { display: block; width: 100%; max-width: 460px; height: auto; color: var(--quiet); overflow: hidden; }
svg text { white-space: pre; font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
details { margin-top: 0.6rem; font-size: 0.88rem; }
summary { cursor: pointer; color: var(--quiet); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.4rem 0; font-size: 0.9rem; }
caption { text-align: left; color: var(--quiet); font-size: 0.88rem; padding-bottom: 0.3rem; }
th, td { padding: 0.2rem 1.1rem 0.2rem 0; text-align: right; font-weight: 400; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { color: var(--quiet); vertical-align: bottom; white-space: nowrap; }
th[scope="row"], .words { text-align: left; }
th[scope="row"] { min-width: 5.5rem; }
.scroll td { overflow-wrap: normal; }
.ours th, .ours td { font-weight: 650; color: var(--accent); }
.facts th { color: var(--quiet); } .facts td { text-align: left; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: 1rem; align-items: start; margin: 0; padding: 0; list-style: none; }
.example { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; overflow: hidden; min-width: 0; }
.example img { display: block; width: 100%; height: 200px; object-fit: contain; background: var(--rule); }
.example dl { display: grid; grid-template-columns: fit-content(7rem) minmax(0, 1fr); gap: 0.25rem 0.8rem; margin: 0; padding: 0.8rem 1rem 0.9rem; font-size: 0.92rem; }
.example dt { color: var(--quiet); font-size: 0.85rem; }
.example dd { margin: 0; }
.example .said { font-weight: 650; }
.example ul { margin: 0; padding: 0; list-style: none; }
footer { margin-top: 3rem; color: var(--quiet); font-size: 0.82rem; }
@media print { body { max-width: none; } figure, .example { break-inside: avoid; } }
`;

/** Pictures may come from anywhere; nothing else is loaded, and no script runs, whatever a text holds. */
const POLICY = "default-src 'none'; img-src * data: blob: file:; style-src 'unsafe-inline'";

/** A whole page. */
export function page({ title, header, main, footer }: { title: string; header: Html; main: Html; footer: string }): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <title>${title}</title>
        <style>
          ${trustedHtml(STYLE)}
        </style>
      </head>
      <body>
        <header>${header}</header>
        <main>${main}</main>
        <footer>${footer}</footer>
      </body>
    </html> `.markup;
}

/** Numbers with names, the first of them large. */
export function tiles(entries: readonly (readonly [name: string, value: string])[]): Html {
  return html`<dl class="tiles">
    ${entries.map(([name, value], index) => html`<div${index === 0 && trustedHtml(' class="main"')}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** A section with a heading; nothing without content. */
export function section(title: string, ...content: readonly HtmlValue[]): Html {
  return html`<section>
    <h2>${title}</h2>
    ${content}
  </section> `;
}

/** A drawing with its title, what it shows, and what is below it. */
export function figure({
  id,
  title,
  words,
  drawing,
  below,
}: {
  id: string;
  title: string;
  words?: HtmlValue;
  drawing: Html;
  below?: HtmlValue;
}): Html {
  return html`<figure>
    <figcaption id="${id}">
      <h3>${title}</h3>
      ${words}
    </figcaption>
    ${drawing} ${below}
  </figure> `;
}

/** A row of a table; its first cell names it. */
export interface TableRow {
  readonly cells: readonly HtmlValue[];
  readonly isOurs?: boolean;
}

/** A table that scrolls by itself where it is too wide. Columns in `words` hold texts, the others but the first numbers. */
export function table({
  caption,
  columns,
  rows,
  words = [],
}: {
  caption: HtmlValue;
  columns: readonly string[];
  rows: readonly TableRow[];
  words?: readonly string[];
}): Html {
  const isWords = columns.map((column, index) => index === 0 || words.includes(column));
  const className = (index: number): HtmlValue => isWords[index]! && trustedHtml(' class="words"');
  return html`<div class="scroll">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map((column, index) => html`<th scope="col" ${className(index)}>${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ({ cells: [name, ...cells], isOurs = false }) =>
            html`<tr${isOurs && trustedHtml(' class="ours"')}><th scope="row">${name}</th>${cells.map((cell, index) => html`<td${className(index + 1)}>${cell}</td>`)}</tr>`,
        )}
      </tbody>
    </table>
  </div> `;
}

/** Names and values that are looked up. */
export function facts(caption: string, entries: readonly (readonly [name: string, value: string])[]): HtmlValue {
  if (entries.length === 0) return undefined;
  return html`<table class="facts">
    <caption>
      ${caption}
    </caption>
    <tbody>
      ${entries.map(
        ([name, value]) =>
          html`<tr>
            <th scope="row">${name}</th>
            <td><bdi>${value}</bdi></td>
          </tr>`,
      )}
    </tbody>
  </table> `;
}

/** What is shown when it is asked for. */
export function folded(summary: string, content: HtmlValue): Html {
  return html`<details>
    <summary>${summary}</summary>
    ${content}
  </details>`;
}
