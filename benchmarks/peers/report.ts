import type { ComparisonResult, SideResult } from './comparison.ts';
import type { Machine } from './machine.ts';
import { QUIET_LOAD } from './rounds.ts';

/** What a run of the benchmark gives. */
export interface Report {
  readonly machine: Machine;
  readonly date: Date;
  readonly results: readonly ComparisonResult[];
}

/**
 * The results as JSON: an array with an element for each comparison, each with the machine it ran on. Numbers are in the
 * unit that the element names.
 */
export function toJson({ machine, date, results }: Report): string {
  const rows = results.map((result) => ({ ...result, machine, date: date.toISOString() }));
  return `${JSON.stringify(rows, undefined, 2)}\n`;
}

/**
 * The results as Markdown: the machine, a table, and what is known of results beside their times.
 *
 * @example
 * console.log(toMarkdown({ machine: describeMachine(), date: new Date(), results }));
 */
export function toMarkdown({ machine, date, results }: Report): string {
  const rows = results.map((result) => tableRow(result));
  const remarks = results.flatMap((result) => remarksOf(result));
  return [
    `${machine.processor}, ${machine.cores} cores, ${gigabytes(machine.memoryBytes)} of memory, ${machine.system}; ` +
      `${librariesOf(results)}; ${date.toISOString().slice(0, 10)}. Medians; lower is better.`,
    '',
    '| work | ours | peer | ratio | target | |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    ...(remarks.length > 0 ? ['', ...remarks] : []),
    '',
  ].join('\n');
}

function tableRow({ name, unit, ours, peer, ratio, targetRatio, targetValue, met }: ComparisonResult): string {
  const side = (result: SideResult | undefined): string =>
    result === undefined ? '–' : `${result.name}: ${inUnit(result.median, unit)}${rateOf(result)}`;
  const targets = [
    targetRatio === undefined ? undefined : `≤ ${targetRatio}`,
    targetValue === undefined ? undefined : `≤ ${inUnit(targetValue, unit)}`,
  ].filter((target) => target !== undefined);
  const cells = [
    name,
    side(ours),
    side(peer),
    ratio === undefined ? '–' : ratio.toPrecision(3),
    targets.join(', ') || '–',
    met === undefined ? '' : met ? 'reached' : 'missed',
  ];
  return `| ${cells.join(' | ')} |`;
}

/** How the results fit together, and whether anything was busy in another's time. */
function remarksOf({ name, ours, peer, outputs }: ComparisonResult): string[] {
  const remarks: string[] = [];
  for (const [key, agreement] of Object.entries(outputs ?? {})) {
    const { min, mean } = agreement.cosine;
    const sides = key.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
    const difference = agreement.largestRelativeDifference.toExponential(1);
    remarks.push(
      `- ${name}, ${sides}: cosine of a row ${cosine(min)} at least, ${cosine(mean)} on average; largest difference ${difference} of the largest number.`,
    );
  }
  for (const [key, value] of Object.entries(ours?.values ?? {})) {
    const other = peer?.values?.[key];
    if (peer === undefined) remarks.push(`- ${name}, ${key}: ${value.toPrecision(6)}.`);
    else if (other !== undefined) remarks.push(`- ${name}, ${key}: ours ${value.toPrecision(6)}, peer ${other.toPrecision(6)}.`);
  }
  const foreignLoad = Math.max(ours?.foreignLoad ?? 0, peer?.foreignLoad ?? 0);
  if (foreignLoad > QUIET_LOAD) {
    remarks.push(`- ${name}: other programs used up to ${foreignLoad.toFixed(1)} cores; measure again on a quiet machine.`);
  }
  for (const side of [ours, peer]) {
    if ((side?.idleLoad ?? 0) > QUIET_LOAD) {
      remarks.push(`- ${name}: ${side!.name} used up to ${side!.idleLoad!.toFixed(1)} cores while the other ran.`);
    }
  }
  return remarks;
}

/** `torch 2.13.0, onnxruntime-node 1.30.0; 2 threads`, each once. */
function librariesOf(results: readonly ComparisonResult[]): string {
  const descriptions = results.flatMap(({ ours, peer }) => [ours, peer]).flatMap((side) => side?.description ?? []);
  const libraries = new Map(
    descriptions.flatMap(({ runtime, libraries: versions }) => [[runtime, ''] as const, ...Object.entries(versions)]),
  );
  const names = Array.from(libraries, ([name, version]) => `${name} ${version}`.trim());
  const threads = [...new Set(descriptions.map((description) => description.threads))].toSorted((a, b) => a - b);
  return `${names.join(', ')}; ${threads.join(' or ')} threads`;
}

function inUnit(value: number, unit: ComparisonResult['unit']): string {
  if (unit === 'bytes') return gigabytes(value);
  const suffix = unit === 'ms per token' ? ' a token' : '';
  return milliseconds(value) + suffix;
}

/** `, 12.3 samples/s`, where something is trained. */
function rateOf({ samplesPerSecond: rate }: SideResult): string {
  return rate === undefined ? '' : `, ${rate < 100 ? rate.toPrecision(3) : rate.toFixed(0)} samples/s`;
}

/** Three digits. */
function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 100 ? value.toPrecision(3) : value.toFixed(0)} ms`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Cosines near one are told apart by what is missing. */
function cosine(value: number): string {
  return value > 0.9999 ? `1 − ${(1 - value).toExponential(1)}` : value.toFixed(4);
}
