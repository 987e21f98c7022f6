import {
  axisX,
  axisY,
  barX,
  barY,
  dot,
  gridX,
  gridY,
  type Markish,
  plot,
  type PlotOptions,
  rectY,
  ruleX,
  ruleY,
  text,
} from '@observablehq/plot';
import { parseHTML } from 'linkedom/worker';
import { cleanText, type Html, trustedHtml } from './html.ts';
import { share, signed } from './signed.ts';

/**
 * The drawings of reports, as SVG without scripts. Colours are variables of the page's style, so that one drawing serves light and dark.
 * Texts of strangers become text nodes and never attributes. Widths are nearly those of a phone: a page sets drawings side by side
 * instead of scaling them.
 */

/** A bar, or a dot, with its name. */
export interface NamedValue {
  readonly name: string;
  readonly value: number;
  /** The value as it is written. @default two digits */
  readonly shown?: string;
  /** How many items it is of. */
  readonly count?: number;
  /** Drawn so that it is seen first. */
  readonly isMarked?: boolean;
}

/** What all drawings are told. */
export interface DrawingOptions {
  /** Id of the element that says what is to be seen. */
  readonly labelledBy: string;
  /** What the values are, with their unit: `accuracy (%)`. */
  readonly axis: string;
}

const WIDTH = 380;
const FONT = 11.5;
const SMALL_FONT = 11;
/** Of a character of the font, on average, in pixels. */
const CHARACTER = 6.7;
const LONGEST_NAME = 24;
const GRID = { stroke: 'var(--rule)', strokeOpacity: 1 } as const;
const ZERO = { stroke: 'var(--quiet)' } as const;

const { document } = parseHTML('<!doctype html><html><body></body></html>') as unknown as { document: Document };

function draw(labelledBy: string, options: PlotOptions): Html {
  const svg = plot({
    document,
    className: 'plot',
    width: WIDTH,
    color: { type: 'identity' },
    r: { type: 'identity' },
    ...options,
  });
  svg.querySelector('style')?.remove(); // the page has its own
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-labelledby', labelledBy);
  return trustedHtml(cleanText(svg.outerHTML));
}

/** Grid and axis of the values, in the middle below. */
function valueAxis(label: string, ticks: number): Markish[] {
  return [
    gridX({ ...GRID, ticks }),
    axisX({ ticks, tickSize: 0, label, labelAnchor: 'center', labelArrow: 'none', fontSize: SMALL_FONT }),
  ];
}

/** A value in its row. */
interface Row {
  readonly place: number;
  readonly name: string;
  readonly value: number;
  readonly shown: string;
  readonly count: string;
  readonly ink: string;
  readonly fill: string;
  readonly radius: number;
}

function rowsOf(values: readonly NamedValue[], fillOf: (value: NamedValue) => string): Row[] {
  return values.map((one, place) => ({
    place,
    name: shownName(one.name),
    value: one.value,
    shown: one.shown ?? one.value.toFixed(2),
    count: one.count?.toLocaleString('en') ?? '',
    ink: one.isMarked === true ? 'var(--accent)' : 'var(--ink)',
    fill: fillOf(one),
    radius: one.isMarked === true ? 5.5 : 4,
  }));
}

function shownName(name: string): string {
  const clean = cleanText(name).replace(/\s+/g, ' ').trim();
  const characters = [...clean];
  return characters.length <= LONGEST_NAME ? clean : `${characters.slice(0, LONGEST_NAME - 1).join('')}…`;
}

/** Names on the left, marks, scores and counts on the right. */
function drawRows(
  rows: readonly Row[],
  { labelledBy, axis, items, values = 'score' }: DrawingOptions & { readonly items?: string; readonly values?: string },
  options: PlotOptions,
): Html {
  const hasCounts = items !== undefined && rows.some(({ count }) => count !== '');
  const beside = { y: 'place', fill: 'ink', textAnchor: 'end', fontSize: FONT } as const;
  const column = (name: string, channel: 'shown' | 'count', dx: number): Markish[] => [
    text(rows, { ...beside, frameAnchor: 'right', dx, text: channel, fontVariant: 'tabular-nums' }),
    text([name], { frameAnchor: 'top-right', textAnchor: 'end', dx, dy: -16, text: [name], fontSize: SMALL_FONT }),
  ];
  return draw(labelledBy, {
    height: ROW_HEIGHT * rows.length + 58,
    marginLeft: 14 + CHARACTER * Math.max(4, ...rows.map(({ name }) => name.length)),
    marginRight: hasCounts ? 116 : 54,
    marginTop: 22,
    marginBottom: 36,
    y: { type: 'band', domain: rows.map(({ place }) => place), axis: null, padding: 0.25 },
    ...options,
    marks: [
      ...valueAxis(axis, 4),
      text(rows, { ...beside, frameAnchor: 'left', dx: -8, text: 'name' }),
      ...(options.marks ?? []),
      ...column(values, 'shown', 48),
      ...(hasCounts ? column(items, 'count', 112) : []),
    ],
  });
}

const ROW_HEIGHT = 21;

/** Bars from 0, in the order given. */
export function barsDrawing(
  values: readonly NamedValue[],
  {
    reference,
    end,
    isDifference = false,
    ...options
  }: DrawingOptions & {
    /** What the counts count. */
    readonly items: string;
    /** Where a dashed line stands for all items. */
    readonly reference?: number;
    /** Where the axis ends, where the scale does. */
    readonly end?: number;
    /** Bars in the colours of better and worse. */
    readonly isDifference?: boolean;
  },
): Html {
  const all = [0, ...values.map(({ value }) => value), ...(reference === undefined ? [] : [reference])];
  const rows = rowsOf(values, ({ value }) => (isDifference ? changeColor(value) : 'var(--bar)'));
  return drawRows(
    rows,
    { ...options, values: isDifference ? 'change' : 'score' },
    {
      x: { domain: [Math.min(...all), end ?? Math.max(...all)], nice: end === undefined },
      marks: [
        barX(rows, { y: 'place', x: 'value', fill: 'fill' }),
        ruleX([0], ZERO),
        reference === undefined ? null : ruleX([reference], { stroke: 'var(--ink)', strokeDasharray: '4 3' }),
      ],
    },
  );
}

function changeColor(value: number): string {
  if (value === 0) return 'var(--bar)';
  return value < 0 ? 'var(--worse)' : 'var(--better)';
}

/** Dots on a scale that need not begin at 0, the largest first. */
export function dotsDrawing(values: readonly NamedValue[], options: DrawingOptions): Html {
  const sorted = values.toSorted((a, b) => b.value - a.value);
  const rows = rowsOf(sorted, ({ isMarked = false }) => (isMarked ? 'var(--accent)' : 'var(--bar)'));
  const [low, high] = [sorted.at(-1)!.value, sorted[0]!.value];
  const room = (high - low || 1) / 20;
  return drawRows(rows, options, {
    x: { domain: [low - room, high + room] },
    marks: [ruleY(rows, { ...GRID, y: 'place' }), dot(rows, { x: 'value', y: 'place', r: 'radius', fill: 'fill' })],
  });
}

/** Most different values that have a bar each. */
const MOST_BARS = 9;

/** How many items have which value: a bar for each value where there are few, else for each of about twenty ranges. */
export function distributionDrawing(
  values: readonly number[],
  { labelledBy, axis, items, isDifference = false }: DrawingOptions & { readonly items: string; readonly isDifference?: boolean },
): Html {
  const counts = new Map<number, number>();
  for (const value of values) {
    const rounded = Math.round(value * 1e6) / 1e6 + 0;
    counts.set(rounded, (counts.get(rounded) ?? 0) + 1);
  }
  return draw(labelledBy, {
    height: 230,
    marginLeft: 56,
    marginRight: 12,
    marginTop: 28,
    marginBottom: 38,
    y: { nice: true, zero: true },
    marks: [
      gridY({ ...GRID, ticks: 5 }),
      axisY({
        ticks: 5,
        tickSize: 0,
        label: items,
        labelArrow: 'none',
        fontSize: SMALL_FONT,
        tickFormat: (count: number) => count.toLocaleString('en'),
      }),
      ...(counts.size <= MOST_BARS && !isDifference
        ? valueBars(counts, values.length, axis)
        : rangeBars(counts, axis, isDifference ? changeColor : () => 'var(--bar)')),
      ruleY([0], ZERO),
    ],
  });
}

function valueBars(counts: ReadonlyMap<number, number>, all: number, axis: string): Markish[] {
  const bars = [...counts]
    .map(([value, count]) => ({ value, count, share: share(count, all) }))
    .toSorted((a, b) => a.value - b.value);
  const fontSize = bars.length > 6 ? 9 : SMALL_FONT;
  return [
    axisX({
      tickSize: 0,
      label: axis,
      labelAnchor: 'center',
      labelArrow: 'none',
      fontSize,
      tickFormat: (value: number) => String(Number(value.toFixed(2))),
    }),
    barY(bars, { x: 'value', y: 'count', fill: 'var(--bar)' }),
    text(bars, { x: 'value', y: 'count', dy: -8, fontSize, fill: 'var(--ink)', text: 'share' }),
  ];
}

function rangeBars(counts: ReadonlyMap<number, number>, axis: string, fillOf: (value: number) => string): Markish[] {
  const bars = ranges(counts).map((range) => ({ ...range, fill: fillOf(range.from + range.to) }));
  return [
    axisX({ ticks: 6, tickSize: 0, label: axis, labelAnchor: 'center', labelArrow: 'none', fontSize: SMALL_FONT }),
    rectY(bars, { x1: 'from', x2: 'to', y: 'count', insetLeft: 0.5, insetRight: 0.5, fill: 'fill' }),
    ruleX([0], ZERO),
  ];
}

/** About twenty ranges with round ends, 0 among them and alike on both of its sides: an end belongs to the range farther from 0. */
function ranges(counts: ReadonlyMap<number, number>): { from: number; to: number; count: number }[] {
  const values = [...counts.keys()];
  const extent = values.reduce((a, b) => Math.max(a, b), 0) - values.reduce((a, b) => Math.min(a, b), 0) || 1;
  const least = extent / 20;
  const power = 10 ** Math.floor(Math.log10(least));
  const width = power * ([1, 2, 2.5, 5].find((step) => step * power >= least) ?? 10);
  const all = new Map<number, number>();
  for (const [value, count] of counts) {
    const steps = Math.floor(Math.abs(value) / width + 1e-9);
    const place = value < 0 ? -steps - 1 : steps;
    all.set(place, (all.get(place) ?? 0) + count);
  }
  return [...all].map(([place, count]) => ({ from: place * width, to: (place + 1) * width, count }));
}

/** A difference with its interval, and where 0 is. */
export function intervalDrawing(
  { value, low, high }: { readonly value: number; readonly low: number; readonly high: number },
  { labelledBy, axis }: DrawingOptions,
): Html {
  const extent = Math.max(Math.abs(low), Math.abs(high), Math.abs(value)) * 1.25 || 1;
  return draw(labelledBy, {
    height: 100,
    marginLeft: 16,
    marginRight: 16,
    marginTop: 28,
    marginBottom: 38,
    x: { domain: [-extent, extent] },
    y: { axis: null, type: 'point', domain: [0] },
    marks: [
      ...valueAxis(axis, 6),
      ruleX([0], { ...ZERO, strokeDasharray: '4 3' }),
      ruleY([0], { x1: low, x2: high, y: 0, stroke: 'var(--accent)', strokeWidth: 4, strokeLinecap: 'round' }),
      ruleX([low, high], { stroke: 'var(--accent)', strokeWidth: 1.5 }),
      dot([0], { x: value, y: 0, r: 4.5, fill: 'var(--accent)', stroke: 'var(--card)', strokeWidth: 1.5 }),
      text([0], { x: value, y: 0, dy: -18, text: [signed(value, 2)], fill: 'var(--ink)', fontSize: 12, fontWeight: 600 }),
    ],
  });
}
