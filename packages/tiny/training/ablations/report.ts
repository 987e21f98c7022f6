import { writeFileSync } from 'node:fs';
import { mean, plotGroups } from './plot.ts';
import { readResults, type Result } from './results.ts';

/** Prints the table of what `run.ts` wrote as Markdown and writes the plot: `node report.ts PLOT.svg RESULTS.json …`. */
const [plotPath = '', ...resultsPaths] = process.argv.slice(2);
const results = resultsPaths.flatMap(readResults);
const measures = [...new Set(results.flatMap(({ scores }) => Object.keys(scores)))];
const experiments = [...Map.groupBy(results, ({ stage, name }) => `${stage}: ${name}`)];

const head = ['stage: experiment', ...measures.map((measure) => `${measure}, %`), 'trained'];
const rows = experiments.map(([name, runs]) => {
  const cells = measures.map((measure) => meanAndRange(valuesOf(runs, measure)));
  return [name, ...cells, trainedShare(runs[0]!)];
});
console.log([head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
writeFileSync(
  plotPath,
  plotGroups(
    measures.map((title) => ({
      title,
      bars: experiments.flatMap(([, runs]) => {
        const values = valuesOf(runs, title);
        return values.length === 0 ? [] : [{ name: runs[0]!.name, values }];
      }),
    })),
  ),
);

function valuesOf(runs: readonly Result[], measure: string): number[] {
  return runs.flatMap(({ scores }) => scores[measure] ?? []);
}

/** As "94.0 (93.4–94.6)". */
function meanAndRange(values: readonly number[]): string {
  if (values.length === 0) return '';
  return `${mean(values).toFixed(1)} (${Math.min(...values).toFixed(1)}–${Math.max(...values).toFixed(1)})`;
}

function trainedShare({ trained, parameters }: Result): string {
  return `${millions(trained)} of ${millions(parameters)} M (${((100 * trained) / parameters).toFixed(0)} %)`;
}

function millions(count: number): string {
  return (count / 1e6).toFixed(2);
}
