import { seededRandom } from '@blip2/core/random';
import { InputError } from '@blip2/core/errors';
import type { BenchmarkRun, ScoredItem } from '../benchmarks/benchmark-run.ts';
import { type Html, clipped, html, type HtmlValue } from './html.ts';
import { shuffled } from './random.ts';
import { BENCHMARK_WORDS, scoreTitle } from './run-scores.ts';

/** Where the picture of an item is: a data URL, or a path beside the page. `undefined` where there is none. */
export type ImageUrl = (item: ScoredItem) => string | undefined | Promise<string | undefined>;

/** Options of reports that show examples. */
export interface ExampleOptions {
  /** @default no pictures */
  readonly imageUrl?: ImageUrl;
  /** How many examples of each kind. @default 9 */
  readonly examples?: number;
  /** Chooses the examples. @default 1 */
  readonly seed?: number;
}

/** Longest text that is shown whole. */
const LONGEST_TEXT = 400;
/** References that are shown. */
const MOST_REFERENCES = 10;

/** The best, the worst and some of the rest, no item twice; by chance among equal ones. */
export function chooseExamples(
  items: readonly ScoredItem[],
  { examples = 9, seed = 1 }: ExampleOptions,
): Record<'best' | 'worst' | 'random', ScoredItem[]> {
  const byChance = shuffled(items, seededRandom(seed));
  const ordered = byChance.toSorted((a, b) => b.score - a.score);
  const each = Math.min(examples, Math.floor(items.length / 2));
  const best = ordered.slice(0, each);
  const worst = ordered.slice(ordered.length - each).toReversed();
  const taken = new Set([...best, ...worst]);
  return { best, worst, random: byChance.filter((item) => !taken.has(item)).slice(0, examples) };
}

/** Cards of items. */
export async function exampleCards(
  run: BenchmarkRun,
  items: readonly ScoredItem[],
  imageUrl: ImageUrl | undefined,
): Promise<Html> {
  const cards = await Promise.all(
    items.map(async (item) =>
      card(item, await picture(item, imageUrl), [
        ['said', html`<span class="said">${text(item.prediction)}</span>`],
        ...references(item),
        [scoreTitle(run.mainScore), scoresOf(run, item)],
      ]),
    ),
  );
  return html`<ul class="examples">
    ${cards}
  </ul>`;
}

type Entry = readonly [name: string, value: HtmlValue];

/** A card with picture and question, and the entries given. */
export function card(item: ScoredItem, image: HtmlValue, entries: readonly Entry[]): Html {
  const { id, question, groups = {} } = item;
  const all: readonly Entry[] = [
    ...(question === undefined ? [] : [['question', text(question)] as const]),
    ...entries,
    ['item', html`<bdi>${clipped([String(id), ...Object.values(groups)].join(' · '), LONGEST_TEXT)}</bdi>`],
  ];
  return html`<li class="example">
    ${image}
    <dl>
      ${all.map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${value}</dd>`,
      )}
    </dl>
  </li>`;
}

/** What people said, equal texts once with their number. */
export function references({ references: all }: ScoredItem): Entry[] {
  if (all.length === 0) return [];
  const counts = [...Map.groupBy(all, (reference) => reference)].map(([reference, some]) => ({ reference, count: some.length }));
  const shown = counts.toSorted((a, b) => b.count - a.count).slice(0, MOST_REFERENCES);
  const rest = counts.length - shown.length;
  return [
    [
      all.length === 1 ? 'reference' : 'references',
      html`<ul>
        ${shown.map(({ reference, count }) => html`<li>${text(reference)}${count > 1 && ` × ${count}`}</li>`)}${rest > 0 && html`<li>and ${rest} more</li>`}
      </ul>`,
    ],
  ];
}

/** A text of a model or of people: its direction cannot reach what is around it. */
export function text(value: string): Html {
  return value.trim() === '' ? html`<em>nothing</em>` : html`<bdi dir="auto">${clipped(value, LONGEST_TEXT)}</bdi>`;
}

function scoresOf({ benchmark }: BenchmarkRun, { score, otherScores = {} }: ScoredItem): string {
  const { factor } = BENCHMARK_WORDS[benchmark];
  const shown = (value: number, name?: string): string => (name === 'rank' ? String(value) : (value * factor).toFixed(1));
  return [shown(score), ...Object.entries(otherScores).map(([name, value]) => `${scoreTitle(name)} ${shown(value, name)}`)].join(
    ' · ',
  );
}

/** The picture of an item, where there is one. @throws {InputError} for an address that is not of a picture. */
export async function picture(item: ScoredItem, imageUrl: ImageUrl | undefined): Promise<HtmlValue> {
  const url = await imageUrl?.(item);
  if (url === undefined) return undefined;
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url.trim())?.[0].toLowerCase();
  const isPicture = scheme === undefined || /^(https?|file|blob):$/.test(scheme) || /^\s*data:image\/[a-z0-9.+-]+[;,]/i.test(url);
  if (!isPicture)
    throw new InputError(
      `report: imageUrl gave '${clipped(url, 60)}' for the item ${item.id}, expected a path relative to the page, a data:image URL, or one of http, https or file. ` +
        `Write paths with / and without a drive.`,
    );
  const name = item.image ?? `image of item ${item.id}`;
  return html`<img src="${url}" alt="${clipped(name, 120)}" loading="lazy" decoding="async" />`;
}
