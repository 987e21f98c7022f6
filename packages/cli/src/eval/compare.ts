import { dirname, join } from 'node:path';
import { replaceFile } from '@blip2/core/node';
import { UsageError } from '../command-line.ts';
import type { Session } from '../session.ts';
import { makeOutputFolder } from './output-folder.ts';
import { readRun } from './write-run.ts';

/** `eval compare A.json B.json`: what the second run has changed, and whether it may be chance. */
export async function compareResults(
  paths: readonly string[],
  outputFolder: string | undefined,
  { output }: Session,
): Promise<void> {
  const [first, second, ...others] = paths;
  if (first === undefined || second === undefined || others.length > 0)
    throw new UsageError(
      `compare takes the results.json of two runs, and ${paths.length} were named: blip2 eval compare A/results.json B/results.json.`,
    );
  const { compareRuns, comparisonReport } = await import('@blip2/eval/report');
  const comparison = compareRuns(await readRun(first), await readRun(second));
  const { difference, interval, confidence, better, equal, worse } = comparison;
  const { benchmark, mainScore } = comparison.first;
  if (outputFolder !== undefined) {
    await makeOutputFolder(outputFolder);
    await replaceFile(join(outputFolder, 'comparison.html'), [await comparisonReport(comparison)]);
    output.note(`Wrote ${join(outputFolder, 'comparison.html')}.`);
  }
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  output.result(
    { benchmark, mainScore, first, second, difference, interval, confidence, better, equal, worse },
    `${mainScore}, ${dirname(second)} less ${dirname(first)}: ${difference.toFixed(4)}, ${percent(confidence)} of resamples between ${interval[0].toFixed(4)} and ${interval[1].toFixed(4)}\n` +
      `better ${percent(better)}, equal ${percent(equal)}, worse ${percent(worse)} of the items`,
  );
}
