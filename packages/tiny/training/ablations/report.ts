import { writeFileSync } from 'node:fs';
import { type Group, plotGroups } from './plot.ts';
import { readResults, type Result } from './results.ts';

/** Prints the table of what `run.ts` wrote as Markdown and writes the plot: `node report.ts PLOT.svg RESULTS.json …`. */
const [plotPath = '', ...resultsPaths] = process.argv.slice(2);
const results = resultsPaths.flatMap(readResults);

const rows: string[] = ['| experiment | score | mean | seeds | trained |', '| --- | --- | --- | --- | --- |'];
const groups: Group[] = [];
for (const [measure, some] of measures(results)) {
  const bars = [...Map.groupBy(some, ({ name }) => name)].map(([name, runs]) => ({
    name,
    values: runs.map(({ value }) => value),
  }));
  groups.push({ title: measure, bars });
  for (const { name, values } of bars) {
    const { trained, parameters } = results.find((one) => one.name === name)!;
    const share = `${(trained / 1e6).toFixed(2)} of ${(parameters / 1e6).toFixed(2)} M (${((100 * trained) / parameters).toFixed(0)} %)`;
    rows.push(
      `| ${name} | ${measure} | ${mean(values).toFixed(1)} | ${values.map((one) => one.toFixed(1)).join(', ')} | ${share} |`,
    );
  }
}
console.log(rows.join('\n'));
writeFileSync(plotPath, plotGroups(groups));

/** Every score of every run, by what it measures. */
function measures(all: readonly Result[]): Map<string, { readonly name: string; readonly value: number }[]> {
  const flat = all.flatMap(({ stage, name, scores }) =>
    Object.entries(scores).map(([score, value]) => ({
      measure: stage === 1 ? `R@1, ${score}` : 'VQA accuracy, zero-shot',
      name,
      value,
    })),
  );
  return Map.groupBy(flat, ({ measure }) => measure);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
