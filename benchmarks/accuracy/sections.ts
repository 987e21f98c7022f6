import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertCheckpoint, openCheckpointFolder, openSafetensorsFile } from '@blip2/checkpoints/node';
import { summarizeReport } from '@blip2/compiler';
import { onnxEngine } from '@blip2/compiler/node';
import type { HostTensor } from '@blip2/core';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import { BenchmarkData } from '../peers/data.ts';
import { formsTable } from './forms.ts';
import { encoderValues, languageValues, type ModelValues, queryValues, withLayers } from './models.ts';
import { errorCell, markdownTable, topAgreement } from './table.ts';

/** Where and how the tables are made. */
export interface AccuracyPlan {
  /** Of `pnpm bench:peers`. */
  readonly dataFolder: string;
  /** Layers of language models. */
  readonly layers: number;
  readonly onProgress: (message: string) => void;
}

/** A part of the report, by its name. */
export const SECTIONS: Readonly<Record<string, (plan: AccuracyPlan) => Promise<string>>> = {
  forms: async (plan) => {
    const folder = join(plan.dataFolder, 'accuracy-forms');
    const table = await formsTable(folder, await benchmarkImages(plan, 2), plan.onProgress);
    await rm(folder, { recursive: true, force: true });
    return `## Forms of products\n\n${table}`;
  },
  'vit-g': async (plan) => {
    const data = new BenchmarkData(plan.dataFolder);
    const folder = await data.checkpoint('itm-vit-g', plan.onProgress);
    const images = await benchmarkImages(plan, 2);
    const notes: string[] = [];
    const values = await ofEachDtype(plan, async (dtype) => {
      const checkpoint = await openCheckpointFolder(folder);
      const onReport = (report: Parameters<typeof summarizeReport>[0]): void =>
        void notes.push(`${dtype}: ${summarizeReport(report)}`);
      const engine = await onnxEngine({ dtype, cache: data.cacheFolder, onReport });
      using encoder = await loadVisionEncoder(checkpoint, { engine });
      const own = await encoderValues(encoder, images);
      own.push(await queryValues(checkpoint, await onnxEngine({ cache: data.cacheFolder }), own.at(-1)!));
      checkpoint.dispose();
      return own;
    });
    return `## ViT-g\n\n${errorTable(values)}\n\n${[...new Set(notes)].map((note) => `* ${note}`).join('\n')}`;
  },
  'opt-2.7b': (plan) => languageSection('opt-2.7b', plan),
  'flan-t5-xl': (plan) => languageSection('flan-t5-xl', plan),
  fixtures: async (plan) => {
    const parts: string[] = [];
    for (const name of ['blip2-opt', 'blip2-flan-t5', 'blip2-itm']) parts.push(await fixtureSection(name, plan));
    return `## Test models\n\n${parts.join('\n\n')}`;
  },
};

type Dtype = 'fp32' | 'int8' | 'int4';
const DTYPES: readonly Dtype[] = ['fp32', 'int8', 'int4'];

async function ofEachDtype(
  { onProgress }: AccuracyPlan,
  valuesOf: (dtype: Dtype) => Promise<ModelValues[]>,
): Promise<Record<Dtype, ModelValues[]>> {
  const values: Partial<Record<Dtype, ModelValues[]>> = {};
  for (const dtype of DTYPES) {
    onProgress(`  ${dtype}`);
    values[dtype] = await valuesOf(dtype);
  }
  return values as Record<Dtype, ModelValues[]>;
}

async function languageSection(name: 'opt-2.7b' | 'flan-t5-xl', plan: AccuracyPlan): Promise<string> {
  const data = new BenchmarkData(plan.dataFolder);
  const folder = await data.checkpoint(name, plan.onProgress);
  const values = await ofEachDtype(plan, async (dtype) => {
    const checkpoint = withLayers(await openCheckpointFolder(folder), plan.layers);
    const engine = await onnxEngine({ dtype, cache: join(plan.dataFolder, 'accuracy-cache') });
    using model = await loadLanguageModel(checkpoint, { engine });
    const own = await languageValues(model, { batch: 2, tokens: 128, vocab: 32_000 });
    checkpoint.dispose();
    return own;
  });
  await rm(join(plan.dataFolder, 'accuracy-cache'), { recursive: true, force: true });
  return `## ${name}, its first ${plan.layers} layers\n\n${errorTable(values)}`;
}

/** Models of width 40 are too small for the compiler to quantise; `convert` does whatever their size. */
async function fixtureSection(name: string, plan: AccuracyPlan): Promise<string> {
  plan.onProgress(name);
  const source = fileURLToPath(new URL(`../../testing/fixtures/models/${name}`, import.meta.url));
  const values = await ofEachDtype(plan, async (dtype) => {
    const folder = join(plan.dataFolder, 'accuracy-fixtures', `${name}-${dtype}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, '..'), { recursive: true });
    const original = await openCheckpointFolder(source);
    if (dtype !== 'fp32') await convertCheckpoint(original, folder, { dtype });
    const checkpoint = dtype === 'fp32' ? original : await openCheckpointFolder(folder);
    const engine = await onnxEngine({ cache: false });
    using encoder = await loadVisionEncoder(checkpoint, { engine });
    const { imageSize } = encoder.config;
    const noise = Float32Array.from({ length: 2 * imageSize * imageSize * 3 }, (_, index) => 1.5 * Math.sin(index * index));
    const own = await encoderValues(encoder, { shape: [2, imageSize, imageSize, 3], data: noise });
    own.push(await queryValues(checkpoint, engine, own.at(-1)!));
    if (name !== 'blip2-itm') {
      using model = await loadLanguageModel(checkpoint, { engine });
      own.push(...(await languageValues(model, { batch: 4, tokens: 32, vocab: model.config.vocabSize })));
    }
    checkpoint.dispose();
    return own;
  });
  await rm(join(plan.dataFolder, 'accuracy-fixtures'), { recursive: true, force: true });
  return `### ${name}\n\n${errorTable(values)}`;
}

/** Relative error and least cosine of a token for each place, then the agreement of the best tokens. Long lists are thinned out. */
function errorTable({ fp32, int8, int4 }: Record<Dtype, ModelValues[]>): string {
  const shown = fp32.map((_, index) => index).filter((index) => isShown(fp32, index));
  const rows = shown.map((index) => {
    const { name, data } = fp32[index]!;
    return [name, errorCell(int8[index]!, data), errorCell(int4[index]!, data)];
  });
  const logits = fp32.findIndex(({ name }) => name === 'logits');
  if (logits >= 0) {
    const { data, shape } = fp32[logits]!;
    const agreement = (values: ModelValues[]): string => topAgreement(values[logits]!.data, data, shape.at(-1)!);
    rows.push(['best token the same', agreement(int8), agreement(int4)]);
  }
  return markdownTable(['relative error, least cosine of a token', 'int8', 'int4'], rows);
}

/** The first and last of a part, and every fourth layer between. */
function isShown(values: readonly ModelValues[], index: number): boolean {
  const part = (at: number): string | undefined => values[at]?.name.replace(/ ?\d+$/, '');
  const layer = Number(/\d+$/.exec(values[index]!.name)?.[0] ?? 0);
  return layer % 4 === 0 || layer === 1 || part(index) !== part(index + 1);
}

/** Normal noise, which no encoder was measured with. */
async function benchmarkImages({ dataFolder }: AccuracyPlan, count: number): Promise<HostTensor> {
  const file = await openSafetensorsFile(await new BenchmarkData(dataFolder).inputs('itm-vit-g'));
  const weight = file.get('images')!.rows(0, count);
  const images = { shape: weight.shape, data: (await weight.read()) as Float32Array };
  file.dispose();
  return images;
}
