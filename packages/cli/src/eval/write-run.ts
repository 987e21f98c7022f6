import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatasetError } from '@blip2/core';
import { fileProblem, replaceFile } from '@blip2/core/node';
import { type BenchmarkRun, BENCHMARKS, type ScoredItem } from '@blip2/eval';
import type { Evaluation } from './evaluation.ts';

/** Writes all that is worth keeping of a run into a folder that is there. */
export async function writeRun(folder: string, run: BenchmarkRun, { readImage, writePredictions }: Evaluation): Promise<void> {
  const { evaluationReport, resultTable } = await import('@blip2/eval/report');
  await writePredictions?.(folder);
  await replaceFile(join(folder, 'results.json'), [`${JSON.stringify(run, undefined, 2)}\n`]);
  await replaceFile(join(folder, 'report.md'), [`${resultTable(run)}\n`]);
  const imageUrl =
    readImage &&
    (async (item: ScoredItem): Promise<string | undefined> => {
      const bytes = await readImage(item);
      return bytes && `data:${imageType(bytes)};base64,${Buffer.from(bytes).toString('base64')}`;
    });
  await replaceFile(join(folder, 'report.html'), [await evaluationReport(run, { imageUrl })]);
}

/** Reads what {@link writeRun} wrote. */
export async function readRun(path: string): Promise<BenchmarkRun> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw fileProblem(path, cause);
  });
  let run: Partial<BenchmarkRun> | null;
  try {
    run = JSON.parse(text) as Partial<BenchmarkRun> | null;
  } catch (cause) {
    throw new DatasetError(`${path}: is broken JSON, expected the results of a run. Run the benchmark again.`, path, { cause });
  }
  if (typeof run !== 'object' || run === null || !BENCHMARKS.some((name) => name === run.benchmark) || !isScored(run.items))
    throw new DatasetError(
      `${path}: has no results of a run, expected benchmark and items. Name the results.json of blip2 eval … --output FOLDER.`,
      path,
    );
  return run as BenchmarkRun;
}

function isScored(items: unknown): boolean {
  return (
    Array.isArray(items) &&
    items.every(
      (item: Partial<ScoredItem> | null) =>
        typeof item === 'object' &&
        item !== null &&
        (typeof item.id === 'string' || typeof item.id === 'number') &&
        typeof item.score === 'number' &&
        typeof item.prediction === 'string' &&
        Array.isArray(item.references),
    )
  );
}

function imageType([first, second]: Uint8Array): string {
  if (first === 0x89 && second === 0x50) return 'image/png';
  if (first === 0x52 && second === 0x49) return 'image/webp';
  if (first === 0x47 && second === 0x49) return 'image/gif';
  return 'image/jpeg';
}
