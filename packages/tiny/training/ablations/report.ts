import { writeFileSync } from 'node:fs';
import { mean, plotGroups } from './plot.ts';
import { readResults, type Result } from './results.ts';

/** Prints the table of what `run.ts` wrote as Markdown and writes the plot: `node report.ts PLOT.svg RESULTS.json …`. */
const [plotPath = '', ...resultsPaths] = process.argv.slice(2);

/** One score of one experiment. */
interface Measured {
  readonly measure: string;
  readonly name: string;
  readonly value: number;
  readonly share: string;
}

const measured = resultsPaths.flatMap(readResults).flatMap(measures);
const rows: string[] = [];
const groups = [...Map.groupBy(measured, ({ measure }) => measure)].map(([title, some]) => ({
  title,
  bars: [...Map.groupBy(some, ({ name }) => name)].map(([name, runs]) => {
    const values = runs.map(({ value }) => value);
    const each = values.map((value) => value.toFixed(1)).join(', ');
    rows.push(`| ${title} | ${name} | ${mean(values).toFixed(1)} | ${each} | ${runs[0]!.share} |`);
    return { name, values };
  }),
}));
console.log(['| % | experiment | mean | seeds | trained |', '| --- | --- | --- | --- | --- |', ...rows].join('\n'));
writeFileSync(plotPath, plotGroups(groups));

function measures({ stage, name, scores, trained, parameters }: Result): Measured[] {
  const share = `${millions(trained)} of ${millions(parameters)} M (${((100 * trained) / parameters).toFixed(0)} %)`;
  return Object.entries(scores).map(([score, value]) => ({
    measure: stage === 1 ? `R@1, ${score}` : 'VQA accuracy, zero-shot',
    name,
    value,
    share,
  }));
}

function millions(count: number): string {
  return (count / 1e6).toFixed(2);
}
