import { join } from 'node:path';
import { asCaptioner } from 'blip2/node';
import type { DatasetRecord } from '@blip2/datasets';
import { readCocoCaptions, readNoCaps } from '@blip2/datasets/node';
import {
  CAPTION_METRICS,
  CAPTION_SETTINGS,
  type CaptionMetricGroup,
  type Id,
  noCapsDomains,
  predictCaptions,
  readCaptionAnnotations,
  readCaptionResults,
  scoreCocoCaptions,
  scoreNoCaps,
} from '@blip2/eval';
import { evaluateAllCaptionMetrics, type FullCaptionEvaluation, writeCaptionResults } from '@blip2/eval/node';
import { fileSource } from '@blip2/core/node';
import { UsageError } from '../command-line.ts';
import { defined } from '../defined.ts';
import type { Evaluation, EvaluationInput } from './evaluation.ts';
import { readRecord, recordsIn } from './images.ts';
import { modelLabel, runModel } from './model-run.ts';
import { neededFile, runsModel } from './needed.ts';

/** COCO captions and NoCaps. */
export async function evaluateCaptionBenchmark(
  benchmark: 'coco-caption' | 'nocaps',
  input: EvaluationInput,
): Promise<Evaluation> {
  const { values, session } = input;
  const { abortSignal } = session;
  const source = neededFile(benchmark, 'annotations', values.annotations);
  const metrics = metricsOf(values.metrics);
  const annotations = await readCaptionAnnotations(source, { abortSignal, split: values.split });
  const records = values.images === undefined ? undefined : await recordsOf(benchmark, input, annotations.references);
  const predicted = runsModel(benchmark, values, 'predictions', values.predictions)
    ? await predict(benchmark, input, records!)
    : { model: values.predictions!, captions: await readCaptionResults(fileSource(values.predictions!), { abortSignal }) };
  const references = limited(annotations.references, values.limit);
  const candidates = values.limit === undefined ? predicted.captions : restricted(predicted.captions, references);
  const evaluate = (images?: Iterable<Id>): Promise<FullCaptionEvaluation> =>
    evaluateAllCaptionMetrics({
      references,
      candidates,
      images,
      metrics: (['METEOR', 'SPICE'] as const).filter((name) => metrics.includes(name === 'METEOR' ? 'meteor' : 'spice')),
      meteor: defined({ data: values.meteorData, jar: values.meteorJar, java: values.java, abortSignal }),
      spice: defined({ jar: values.spiceJar, java: values.java, abortSignal }),
    });
  const imageFiles = new Map(
    [...annotations.images].flatMap(([id, { fileName }]) => (fileName === undefined ? [] : [[id, fileName]])),
  );
  const scored = { references, candidates, metrics, imageFiles };
  const score = async () => {
    if (benchmark === 'coco-caption') return scoreCocoCaptions(await evaluate(), scored);
    const evaluations = new Map<string, FullCaptionEvaluation>();
    for (const [domain, images] of noCapsDomains({ ...annotations, references })) evaluations.set(domain, await evaluate(images));
    return scoreNoCaps(evaluations, { ...scored, domains: annotations.domains! });
  };
  return {
    run: { ...(await score()), model: predicted.model, annotations: source.name, ...defined({ settings: predicted.settings }) },
    ...(records && { readImage: async ({ id }) => records.get(id)?.readImage() }),
    ...(predicted.settings && {
      writePredictions: (folder) => writeCaptionResults(join(folder, 'predictions.json'), predicted.captions),
    }),
  };
}

interface Predicted {
  readonly model: string;
  readonly captions: ReadonlyMap<Id, string>;
  readonly settings?: Readonly<Record<string, unknown>>;
}

async function predict(benchmark: string, input: EvaluationInput, records: ReadonlyMap<Id, DatasetRecord>): Promise<Predicted> {
  const { protocol, prompt, beams, lengthPenalty, maxNewTokens, minNewTokens, limit } = input.values;
  const settings = {
    ...CAPTION_SETTINGS[protocol as 'zero-shot' | 'fine-tuned'],
    ...defined({ prompt, beams, lengthPenalty, maxNewTokens, minNewTokens }),
  };
  const items = [...records].slice(0, limit).map(([id, image]) => ({ id, image }));
  const done = await runModel(input, {
    benchmark,
    settings,
    items,
    identify: () => null,
    writesText: true,
    run: (model, options) => predictCaptions(items, asCaptioner(model, readRecord), settings, options),
  });
  return { model: modelLabel(input.values), captions: done.result, settings: done.settings };
}

/** The images that have references, by the ids of these. */
async function recordsOf(
  benchmark: 'coco-caption' | 'nocaps',
  { values, session: { abortSignal } }: EvaluationInput,
  references: ReadonlyMap<Id, readonly string[]>,
): Promise<Map<Id, DatasetRecord>> {
  const options = { images: values.images!, abortSignal };
  const dataset =
    benchmark === 'nocaps'
      ? await readNoCaps(values.annotations!, options)
      : await readCocoCaptions(values.annotations!, { ...options, rows: 'image' });
  const records = recordsIn(dataset).filter(({ imageId }) => references.has(imageId));
  return new Map(records.map((record) => [record.imageId, record]));
}

function metricsOf(list: string | undefined): readonly CaptionMetricGroup[] {
  if (list === undefined) return CAPTION_METRICS;
  const names = list.split(',').map((name) => name.trim().toLowerCase());
  const unknown = names.find((name) => !(CAPTION_METRICS as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--metrics has '${unknown}', expected some of ${CAPTION_METRICS.join(',')}, separated by commas.`);
  return names as CaptionMetricGroup[];
}

function limited<Value>(all: ReadonlyMap<Id, Value>, limit: number | undefined): ReadonlyMap<Id, Value> {
  return limit === undefined ? all : new Map([...all].slice(0, limit));
}

function restricted<Value>(all: ReadonlyMap<Id, Value>, to: ReadonlyMap<Id, unknown>): ReadonlyMap<Id, Value> {
  return new Map([...all].filter(([id]) => to.has(id)));
}
