import { join } from 'node:path';
import { asMatcher } from 'blip2/node';
import { openSafetensorsFile, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { DatasetError } from '@blip2/core';
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

type RetrievalBenchmark = 'flickr30k' | 'coco-retrieval';

/** Scores of every image with every text, for each direction. */
interface Matrices {
  /** `[images, texts]` */
  readonly imageToText: readonly Float32Array[];
  /** `[texts, images]` */
  readonly textToImage: readonly Float32Array[];
}

/** Flickr30K and COCO retrieval. */
export async function evaluateRetrievalBenchmark(benchmark: RetrievalBenchmark, input: EvaluationInput): Promise<Evaluation> {
  const { values, session } = input;
  const { abortSignal } = session;
  const source = neededFile(benchmark, 'annotations', values.annotations);
  const runs = runsModel(benchmark, values, 'scores', values.scores);
  const all = await readRetrievalSet(source, { abortSignal, split: values.split });
  const set = runs ? { images: all.images.slice(0, values.limit), captions: all.captions.slice(0, values.limit) } : all;
  const records = values.images === undefined ? undefined : await recordsOf(benchmark, input);
  const predicted = runs ? await predict(benchmark, input, set, records!) : undefined;
  const matrices: Matrices = predicted?.result ?? (await readScores(values.scores!, set));
  const byName = records && new Map(all.images.map((name, index) => [name, records[index]]));
  return {
    run: {
      ...scoreRetrieval({ benchmark, ...set, ...matrices }),
      model: predicted === undefined ? values.scores! : modelLabel(values),
      annotations: source.name,
      ...defined({ settings: predicted && { ...predicted.settings, reranked: predicted.result.reranked } }),
    },
    ...(byName && { readImage: async ({ image }) => byName.get(image ?? '')?.readImage() }),
    ...(predicted && { writePredictions: (folder) => writeScores(join(folder, 'scores.safetensors'), matrices) }),
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

async function readScores(path: string, { images, captions }: RetrievalSet): Promise<Matrices> {
  const texts = captions.reduce((sum, { length }) => sum + length, 0);
  using file = await openSafetensorsFile(path);
  const matrix = async (name: string, rows: number, columns: number, axes: string): Promise<Float32Array[]> => {
    const weight = file.get(name);
    const shape = `${axes} = [${rows}, ${columns}]`;
    if (weight === undefined)
      throw new DatasetError(
        `${path}: has no ${name} (it has ${file.names.join(', ') || 'nothing'}), expected ${name} ${shape}. Write both i2t and t2i.`,
        path,
      );
    if (weight.shape.length !== 2 || weight.shape[0] !== rows || weight.shape[1] !== columns)
      throw new DatasetError(
        `${path}: ${name} is [${weight.shape.join(', ')}], expected ${shape} of the annotations. Score every image with every text, in their order.`,
        path,
      );
    const values = (await weight.read()) as Float32Array;
    return Array.from({ length: rows }, (_, row) => values.subarray(row * columns, (row + 1) * columns));
  };
  return {
    imageToText: await matrix('i2t', images.length, texts, '[images, texts]'),
    textToImage: await matrix('t2i', texts, images.length, '[texts, images]'),
  };
}

async function writeScores(path: string, { imageToText, textToImage }: Matrices): Promise<void> {
  const tensor = (name: string, rows: readonly Float32Array[]) => {
    const shape = [rows.length, rows[0]!.length];
    const values = new Float32Array(shape[0]! * shape[1]!);
    for (const [index, row] of rows.entries()) values.set(row, index * shape[1]!);
    return { name, shape, values };
  };
  await writeSafetensorsFile(path, [tensor('i2t', imageToText), tensor('t2i', textToImage)], { metadata: {} });
}
