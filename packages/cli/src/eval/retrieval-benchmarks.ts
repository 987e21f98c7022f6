import { join } from 'node:path';
import { asMatcher } from 'blip2/node';
import type { DatasetRecord } from '@blip2/datasets';
import { readCocoCaptions, readFlickr30kCaptions } from '@blip2/datasets/node';
import {
  type Protocol,
  predictRetrieval,
  readRetrievalSet,
  RETRIEVAL_SETTINGS,
  type RetrievalSet,
  scoreRetrieval,
} from '@blip2/eval';
import { defined } from '../defined.ts';
import type { Evaluation, EvaluationInput } from './evaluation.ts';
import { readRecord, recordsIn } from './images.ts';
import { modelLabel, runModel } from './model-run.ts';
import { neededFile, runsModel } from './needed.ts';
import { readScoreMatrices, type ScoreMatrices, writeScoreMatrices } from './score-matrices.ts';

type RetrievalBenchmark = 'flickr30k' | 'coco-retrieval';

/** Flickr30K and COCO retrieval. */
export async function evaluateRetrievalBenchmark(benchmark: RetrievalBenchmark, input: EvaluationInput): Promise<Evaluation> {
  const { values, session } = input;
  const { abortSignal } = session;
  const source = neededFile(benchmark, 'annotations', values.annotations);
  const runs = runsModel(benchmark, values, 'scores', values.scores);
  const all = await readRetrievalSet(source, { abortSignal, split: values.split });
  const set = { images: all.images.slice(0, values.limit), captions: all.captions.slice(0, values.limit) };
  const records = values.images === undefined ? undefined : await recordsOf(benchmark, input);
  const predicted = runs ? await predict(benchmark, input, set, records!) : undefined;
  const matrices: ScoreMatrices = predicted?.result ?? (await readScoreMatrices(values.scores!, all, set));
  const byName = records && new Map(all.images.map((name, index) => [name, records[index]]));
  return {
    run: {
      ...scoreRetrieval({ benchmark, ...set, ...matrices }),
      model: predicted === undefined ? values.scores! : modelLabel(values),
      annotations: source.name,
      ...defined({ settings: predicted && { ...predicted.settings, reranked: predicted.result.reranked } }),
    },
    ...(byName && { readImage: async ({ image }) => byName.get(image ?? '')?.readImage() }),
    ...(predicted && { writePredictions: (folder) => writeScoreMatrices(join(folder, 'scores.safetensors'), matrices) }),
  };
}

async function predict(
  benchmark: RetrievalBenchmark,
  input: EvaluationInput,
  { captions }: RetrievalSet,
  records: readonly DatasetRecord[],
) {
  const { protocol, rerank } = input.values;
  const settings = { ...RETRIEVAL_SETTINGS[protocol as Protocol], ...defined({ rerank }) };
  const items = captions.map((texts, index) => ({ id: index, image: records[index]!, captions: texts }));
  return runModel(input, {
    benchmark,
    settings,
    items,
    identify: ({ captions: texts }) => texts,
    writesText: false,
    run: (model, options) => predictRetrieval(items, asMatcher(model, { read: readRecord }), settings, options),
  });
}

/** A row for each image, in the order in which retrieval numbers them. */
async function recordsOf(benchmark: RetrievalBenchmark, { values, session }: EvaluationInput): Promise<DatasetRecord[]> {
  const read = benchmark === 'flickr30k' ? readFlickr30kCaptions : readCocoCaptions;
  const { split, images, annotations } = values;
  const dataset = await read(annotations!, { images: images!, split, rows: 'image', abortSignal: session.abortSignal });
  return recordsIn(dataset);
}
