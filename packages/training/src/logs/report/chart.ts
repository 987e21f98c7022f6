import { shortNumber } from '../progress-text.ts';
import { type Curve, linearTicks, logTicks, type Point, type Range, smoothed, thinned } from './curves.ts';

/** What a chart shows. */
export interface ChartData {
  readonly title: string;
  /** Logged while training: a faint line, and a smooth one over it. */
  readonly training?: Curve;
  /** Measured now and then: points with a line. */
  readonly evaluation?: Curve;
  /** Of the whole report, so that charts can be compared. */
  readonly lastStep: number;
}

/** Of the drawing, in its own units. */
const [WIDTH, HEIGHT] = [500, 250] as const;
/** Room for the axes. The page's script knows left and right. */
const EDGE = { left: 52, right: 14, top: 12, bottom: 32 } as const;
/** Points of a line, and dots. */
const [POINTS, EVALUATIONS] = [800, 120] as const;

type Scale = 'linear' | 'log';

/** A figure with a chart, its description for those who do not see it, and its numbers as a table. */
export function chart(data: ChartData, id: string): string {
  const { training, evaluation } = data;
  const smooth = training === undefined ? [] : thinned(smoothed(training.points, radiusOf(training)), POINTS);
  const scales = (['linear', 'log'] as const).map((scale) => drawing(data, smooth, scale)).join('');
  const shown = { training: smooth.map(plain), evaluation: thinned(evaluation?.points ?? [], EVALUATIONS).map(plain) };
  return `<figure class="chart" data-points="${escape(JSON.stringify(shown))}" data-last="${Math.max(data.lastStep, 1)}">
<figcaption id="${id}-title"><h3>${escape(data.title)}</h3><span class="legend">${legend(data)}</span><output aria-hidden="true"></output></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-title" aria-describedby="${id}-words">${scales}<line class="cursor" y1="${EDGE.top}" y2="${HEIGHT - EDGE.bottom}" visibility="hidden"/></svg>
<p class="words" id="${id}-words">${escape(describe(data))}</p>
${table(data)}
</figure>`;
}

const plain = ({ step, value }: Point): [number, number] => [step, Number(value.toPrecision(5))];

/** A fiftieth of the points in all, so that the smooth line shows the course and not the noise. */
function radiusOf({ points }: Curve): number {
  return Math.floor(points.length / 100);
}

function drawing(data: ChartData, smooth: readonly Point[], scale: Scale): string {
  const { training, evaluation } = data;
  const isShown = ({ value }: Point): boolean => scale === 'linear' || value > 0;
  const raw = thinned(training?.points ?? [], POINTS).filter(isShown);
  const measured = thinned(evaluation?.points ?? [], EVALUATIONS).filter(isShown);
  const all = [...raw, ...measured];
  if (all.length === 0)
    return `<g class="${scale}"><text class="none" x="${WIDTH / 2}" y="${HEIGHT / 2}">no number over 0</text></g>`;
  const range = rangeOf(all, scale);
  const place = placing(range, scale, Math.max(data.lastStep, 1));
  const gaps = [...(training?.gaps ?? []), ...(evaluation?.gaps ?? [])].map((step) => Math.round(place.x(step)));
  const bottom = HEIGHT - EDGE.bottom;
  return `<g class="${scale}">${axes(range, scale, place, Math.max(data.lastStep, 1))}
${[...new Set(gaps)].map((x) => `<path class="gap" d="M${x} ${bottom}v-8"/>`).join('')}
${raw.length > 1 ? `<path class="raw" d="${line(raw, place)}"/><path class="smooth" d="${line(smooth.filter(isShown), place)}"/>` : dots(raw, place, 'smooth-dot')}
${measured.length > 1 ? `<path class="measured" d="${line(measured, place)}"/>` : ''}${dots(measured, place, 'dot')}</g>`;
}

/** A range around the values, with a twentieth of room. */
function rangeOf(points: readonly Point[], scale: Scale): Range {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { value } of points) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (scale === 'log')
    return low < high ? { low: low * (low / high) ** 0.05, high: high * (high / low) ** 0.05 } : { low: low / 2, high: high * 2 };
  if (low === high) return { low: low - (Math.abs(low) || 1) / 2, high: high + (Math.abs(high) || 1) / 2 };
  const room = (high - low) / 20;
  return { low: low >= 0 ? Math.max(0, low - room) : low - room, high: high + room };
}

/** Where steps and values are in the drawing. */
interface Placing {
  x(step: number): number;
  y(value: number): number;
}

function placing({ low, high }: Range, scale: Scale, lastStep: number): Placing {
  const [left, right] = [EDGE.left, WIDTH - EDGE.right];
  const [bottom, top] = [HEIGHT - EDGE.bottom, EDGE.top];
  const share = (value: number): number =>
    scale === 'log' ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const round = (place: number): number => Math.round(10 * place) / 10;
  return {
    x: (step) => round(left + ((right - left) * step) / lastStep),
    y: (value) => round(bottom + (top - bottom) * share(value)),
  };
}

function axes(range: Range, scale: Scale, place: Placing, lastStep: number): string {
  const ticks = scale === 'log' ? logTicks(range, 6) : linearTicks(range, 5);
  const [left, right, bottom] = [EDGE.left, WIDTH - EDGE.right, HEIGHT - EDGE.bottom];
  const rows = ticks.map((tick) => {
    const y = place.y(tick);
    return `<path class="grid" d="M${left} ${y}H${right}"/><text class="value" x="${left - 8}" y="${y + 4}">${escape(tickText(tick))}</text>`;
  });
  const columns = linearTicks({ low: 0, high: lastStep }, 5)
    .filter((step) => Number.isInteger(step))
    .map(
      (step) =>
        `<path class="tick" d="M${place.x(step)} ${bottom}v4"/><text class="step" x="${place.x(step)}" y="${bottom + 18}">${step.toLocaleString('en')}</text>`,
    );
  return `${rows.join('')}<path class="axis" d="M${left} ${bottom}H${right}"/>${columns.join('')}`;
}

/** 0.2, 1e-5, 20,000: ticks are round, so they need few digits. */
function tickText(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential();
  return value.toLocaleString('en', { maximumSignificantDigits: 6 });
}

function line(points: readonly Point[], place: Placing): string {
  return points.map(({ step, value }, index) => `${index === 0 ? 'M' : 'L'}${place.x(step)} ${place.y(value)}`).join('');
}

function dots(points: readonly Point[], place: Placing, name: string): string {
  return points
    .map(({ step, value }) => `<circle class="${name}" cx="${place.x(step)}" cy="${place.y(value)}" r="3.5"/>`)
    .join('');
}

function legend({ training, evaluation }: ChartData): string {
  const parts = [
    training === undefined ? '' : '<span class="key-training">training</span>',
    evaluation === undefined ? '' : '<span class="key-evaluation">evaluation</span>',
  ];
  return parts.join(' ');
}

/** The course of a curve in a sentence. */
function describe({ training, evaluation }: ChartData): string {
  const sentences = [
    ['Training', training],
    ['Evaluation', evaluation],
  ] as const;
  return sentences
    .flatMap(([name, curve]) => {
      if (curve === undefined) return [];
      const [first, last] = [curve.points[0], curve.points.at(-1)];
      const gaps = curve.gaps.length === 0 ? '' : ` ${curve.gaps.length} of its values were not finite.`;
      if (first === undefined || last === undefined) return [`${name} has no finite value.${gaps}`];
      const lowest = curve.points.reduce((one, other) => (other.value < one.value ? other : one));
      const highest = curve.points.reduce((one, other) => (other.value > one.value ? other : one));
      return [`${name}: ${at(first)}, ${at(last)}; lowest ${at(lowest)}, highest ${at(highest)}.${gaps}`];
    })
    .join(' ');
}

function at({ step, value }: Point): string {
  return `${shortNumber(value)} at step ${step.toLocaleString('en')}`;
}

/** Some rows of the numbers behind a chart. */
function table({ title, training, evaluation }: ChartData): string {
  const points = new Map<number, { training?: number; evaluation?: number }>();
  const smooth = training === undefined ? [] : smoothed(training.points, radiusOf(training));
  const every = Math.max(1, Math.ceil(smooth.length / 20));
  smooth.forEach(({ step, value }, index) => {
    if (index % every === 0 || index === smooth.length - 1) points.set(step, { training: value });
  });
  for (const { step, value } of thinned(evaluation?.points ?? [], 40))
    points.set(step, { ...points.get(step), evaluation: value });
  const cell = (value: number | undefined): string => `<td>${value === undefined ? '' : escape(shortNumber(value))}</td>`;
  const columns = [
    ...(training === undefined ? [] : (['training'] as const)),
    ...(evaluation === undefined ? [] : (['evaluation'] as const)),
  ];
  const heads = columns.map((name) => `<th scope="col">${name === 'training' ? 'training, smoothed' : name}</th>`).join('');
  const rows = [...points]
    .toSorted(([a], [b]) => a - b)
    .map(
      ([step, values]) =>
        `<tr><th scope="row">${step.toLocaleString('en')}</th>${columns.map((name) => cell(values[name])).join('')}</tr>`,
    );
  return `<details><summary>Numbers<span class="words"> of ${escape(title)}</span></summary><table><thead><tr><th scope="col">step</th>${heads}</tr></thead><tbody>${rows.join('')}</tbody></table></details>`;
}

/** Text as HTML. */
export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
