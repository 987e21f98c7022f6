import { duration } from '@blip2/core';
import type { TrainingOutcome, TrainingRecord } from '../../trainer/training-log.ts';
import { shortNumber } from '../progress-text.ts';
import { chart, escape } from './chart.ts';
import { type Curve, curvesOf } from './curves.ts';
import { SCRIPT, STYLE } from './page-parts.ts';

/** Options of {@link trainingReport}. */
export interface TrainingReportOptions {
  /** @default 'Training' */
  readonly title?: string;
  /** What is to be known of the run: recipe, data, machine. @default none */
  readonly facts?: Readonly<Record<string, string | number | boolean>>;
  /** How the run ended. @default 'complete' */
  readonly outcome?: TrainingOutcome;
  /** Rows of a batch, for the rate. */
  readonly samplesPerStep?: number;
}

/** What comes last, because it is looked at less. */
const QUIET = ['gradientNorm', 'learningRate'];

const ENDED: Readonly<Record<TrainingOutcome, string>> = {
  complete: 'Complete',
  aborted: 'Interrupted',
  failed: 'Ended by an error',
};

/**
 * A run as a page of HTML: its numbers, and a curve for each number of the log, raw and smoothed, on linear and logarithmic axes. One
 * file without anything from elsewhere; light and dark; each chart has its course in words and its numbers in a table.
 *
 * @param records - Of the log, in order.
 *
 * @example
 * await writeFile('report.html', trainingReport(await readTrainingLog('runs/one/log.jsonl'), { title: 'Stage 1' }));
 */
export function trainingReport(records: readonly TrainingRecord[], options: TrainingReportOptions = {}): string {
  const { title = 'Training', facts = {}, outcome = 'complete' } = options;
  const training = curvesOf(records, 'training');
  const evaluation = curvesOf(records, 'evaluation');
  const lastStep = records.reduce((last, { step }) => Math.max(last, step), 0);
  const names = [...new Set([...training.keys(), ...evaluation.keys()])];
  const ordered = [...names.filter((name) => !QUIET.includes(name)), ...names.filter((name) => QUIET.includes(name))];
  const charts = ordered.map((name, index) =>
    chart({ title: name, training: training.get(name), evaluation: evaluation.get(name), lastStep }, `chart-${index}`),
  );
  const tiles = Object.entries(summary(records, training, options)).map(
    ([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`,
  );
  const rows = Object.entries(facts).map(
    ([name, value]) => `<tr><th scope="row">${escape(name)}</th><td>${escape(String(value))}</td></tr>`,
  );
  const dates = period(records);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escape(title)}</h1><p>${ENDED[outcome]}${dates === '' ? '' : `, ${dates}`}</p></header>
<main>
<dl class="tiles">${tiles.join('')}</dl>
${charts.length === 0 ? '<p>Nothing was logged.</p>' : `${CONTROLS}\n<section class="charts" aria-label="Curves">\n${charts.join('\n')}\n</section>`}
${rows.length === 0 ? '' : `<h2>Settings</h2>\n<table class="facts"><tbody>${rows.join('')}</tbody></table>`}
</main>
<footer>Written by @blip2/training. Smooth lines are means over a fiftieth of the points; steps with a red mark had a number that was not finite.</footer>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

const CONTROLS = `<fieldset class="controls"><legend class="words">How curves are drawn</legend>
<label><input type="radio" name="axis" id="axis-linear" checked> linear axis</label>
<label><input type="radio" name="axis" id="axis-log"> logarithmic axis</label>
<label><input type="checkbox" id="show-raw" checked> single steps</label></fieldset>`;

function summary(
  records: readonly TrainingRecord[],
  training: ReadonlyMap<string, Curve>,
  { samplesPerStep }: TrainingReportOptions,
): Record<string, string> {
  const last = (kind: TrainingRecord['kind']): TrainingRecord | undefined => records.findLast((record) => record.kind === kind);
  const loss = training.get('loss');
  const rate = stepsPerSecond(records);
  return {
    steps: (last('training')?.step ?? 0).toLocaleString('en'),
    ...(loss?.points.at(-1) === undefined ? {} : { 'last loss': shortNumber(loss.points.at(-1)!.value) }),
    ...Object.fromEntries(
      Object.entries(last('evaluation')?.values ?? {}).map(([name, value]) => [`last ${name}, evaluation`, shortNumber(value)]),
    ),
    ...(rate === undefined ? {} : { 'steps per second': shortNumber(rate) }),
    ...(rate === undefined || samplesPerStep === undefined ? {} : { 'samples per second': shortNumber(rate * samplesPerStep) }),
    ...(loss === undefined || loss.gaps.length === 0 ? {} : { 'steps not finite': loss.gaps.length.toLocaleString('en') }),
  };
}

/** The middle rate between two records, which breaks between runs and evaluations do not change. */
function stepsPerSecond(records: readonly TrainingRecord[]): number | undefined {
  const training = records.filter(({ kind }) => kind === 'training');
  const rates = training.slice(1).flatMap(({ step, timeMs }, index) => {
    const before = training[index]!;
    return timeMs > before.timeMs && step > before.step ? [(1000 * (step - before.step)) / (timeMs - before.timeMs)] : [];
  });
  return rates.toSorted((a, b) => a - b)[Math.floor(rates.length / 2)];
}

/** From when to when, and how long; the same for every reader, so in UTC. */
function period(records: readonly TrainingRecord[]): string {
  const [first, last] = [records[0], records.at(-1)];
  if (first === undefined || last === undefined) return '';
  const show = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  return `${show(first.timeMs)} to ${show(last.timeMs)}, ${duration((last.timeMs - first.timeMs) / 1000)}`;
}
