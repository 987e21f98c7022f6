import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { duration } from '@blip2/core';
import type { Id, PredictOptions } from '@blip2/eval';
import { openJournal } from '@blip2/eval/node';
import type { Blip2 } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { loadModel } from '../session.ts';
import type { EvaluationInput } from './evaluation.ts';

/** A run of a model over items. */
export interface ModelRun<Item, Result> {
  readonly benchmark: string;
  /** Of the protocol, with what the command line changed. */
  readonly settings: { readonly imageSize: number };
  readonly items: readonly Item[];
  /** What of an item decides its prediction, besides its image. */
  readonly identify: (item: Item) => unknown;
  /** Whether the language model will write. */
  readonly writesText: boolean;
  run(model: Blip2, options: PredictOptions): Promise<Result>;
}

/** What a model run came to, with all that decided it. */
export interface ModelRunResult<Result> {
  readonly result: Result;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Loads the model, goes through the items with progress and a journal, and frees it. */
export async function runModel<Item extends { readonly id: Id }, Result>(
  { values, session }: EvaluationInput,
  { benchmark, settings, items, identify, writesText, run }: ModelRun<Item, Result>,
): Promise<ModelRunResult<Result>> {
  const { output, abortSignal } = session;
  const { resume, batch, limit, protocol } = values;
  if (resume && values.output === undefined)
    throw new UsageError('--resume needs the --output FOLDER of the run that was interrupted.');
  using model = await loadModel(values, session, { writesText });
  const { imageSize } = model.visionEncoder.config;
  if (imageSize !== settings.imageSize) {
    output.note(
      `Published ${protocol} numbers are those of images ${settings.imageSize} pixels wide; this model reads ${imageSize}. The results say so.`,
    );
  }
  const used = {
    protocol,
    ...settings,
    imageSize,
    protocolImageSize: settings.imageSize,
    engine: model.engine,
    ...(limit === undefined ? {} : { limit }),
  };
  const identity = { benchmark, model: modelLabel(values), settings: used, items: items.length, hash: hashOf(items, identify) };
  await using journal =
    values.output === undefined ? undefined : await openJournal(join(values.output, 'journal.jsonl'), identity, { resume });
  if (journal !== undefined && journal.found > 0)
    output.note(`${journal.found} finished items were found, and are not run again.`);
  const result = await run(model, {
    batchSize: batch ?? 8,
    journal,
    abortSignal,
    onProgress: ({ part, done, total, secondsLeft }) =>
      output.progress(
        `${part} ${done} of ${total}${secondsLeft === undefined ? '' : `, ${duration(secondsLeft)} left`}`,
        done / total,
      ),
  });
  output.endProgress();
  return { result, settings: used };
}

/** The model's name in results: what the command line says. */
export function modelLabel({ model = '', revision }: { readonly model?: string; readonly revision?: string }): string {
  if (model === '') return '@blip2/tiny, OPT';
  return revision === undefined ? model : `${model}@${revision}`;
}

function hashOf<Item extends { readonly id: Id }>(items: readonly Item[], identify: (item: Item) => unknown): string {
  const hash = createHash('sha256');
  for (const item of items) hash.update(JSON.stringify([item.id, identify(item)]));
  return hash.digest('hex').slice(0, 16);
}
