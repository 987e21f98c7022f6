import { type EngineInputs, type HostTensor, InputError, type RunOptions, type Weight } from '@blip2/core';
import type { FunctionGraph } from '../build-graph.ts';
import { type ObservedGraph, observeProducts, type ProductStatistics } from '../passes/observe-products.ts';
import type { PlaceWeightsOptions, QuantizationPolicy } from '../passes/place-weights.ts';
import type { QuantizedForm } from '../passes/quantized-product.ts';
import { placeGraph } from '../place-graph.ts';
import type { Runtime, RuntimeTensor, SessionOptions } from '../runtime/runtime.ts';
import { flattenTree } from '../tree.ts';
import type { WeightStore } from '../weights/weight-store.ts';
import { chooseForms, type PredictedProduct } from './choose-forms.ts';
import { type OutputValues, outputError } from './output-errors.ts';
import { blocksOf, isLargeMatrix, QUANTIZATION } from './policy.ts';
import { predictErrors, type ProductForm, weightStatistics } from './predict-error.ts';
import { type QuantizationReport, reportProducts } from './report.ts';

/** How precise a quantised function has to be, and how that is reached. */
export const MEASUREMENT = {
  /** The least cosine of any row of any output with float32 that is aimed for. */
  leastCosine: 0.999,
  /**
   * The largest predicted error of a product in the first attempt. Products of normal numbers have 0.0105, with which the 39 blocks of a ViT-g reach 0.9994;
   * docs/design/quantization.md has the measurements.
   */
  limit: 0.02,
  /** The limit of each further attempt is this share of the one before. */
  tightening: 0.7,
  attempts: 3,
} as const;

/** Where functions are measured. */
export interface MeasuringTarget {
  readonly runtime: Runtime;
  readonly weights: WeightStore;
}

/** What measuring found. */
export interface MeasuredForms {
  readonly policy: QuantizationPolicy;
  readonly report: QuantizationReport;
}

type MeasureOptions = RunOptions & { readonly name: string };

/**
 * Chooses the form of every large product of a function by what its activations look like. The function runs in float32 on samples, observed; errors of
 * all forms are predicted from that; the fastest forms with small errors are taken, and the function that results is measured against float32. Where it
 * misses {@link MEASUREMENT}, it is tried again with less error.
 *
 * Float32 needs no copy of weights that are stored in 16 bits: the graph converts them in passing. Matrices that are stored quantised are taken as they are, also
 * in what the results are compared with.
 *
 * @param samples - Typical inputs of one call.
 * @throws what reading weights, and running the function on the samples, throws.
 */
export async function measureForms(
  target: MeasuringTarget,
  built: FunctionGraph,
  samples: EngineInputs<unknown>,
  options: MeasureOptions,
): Promise<MeasuredForms> {
  const isCandidate = (weight: Weight): boolean => weight.quantized === undefined && isLargeMatrix(weight);
  const observed = observeProducts(built.graph, isCandidate, QUANTIZATION.blockSize[8]);
  if (!observed.hasProducts) {
    const policy = (): undefined => undefined;
    return { policy, report: { name: options.name, products: reportProducts(built.graph, policy) } };
  }
  const quietly = { name: options.name, abortSignal: options.abortSignal };
  const { reference, statistics } = await runObserved(target, built, observed, samples, quietly);
  const predicted = await predictAll(statistics, options);
  let best: MeasuredForms | undefined;
  let forms: ReadonlyMap<string, ProductForm> = new Map();
  for (let attempt = 0; attempt < MEASUREMENT.attempts; attempt++) {
    const stricter = chooseForms(predicted, MEASUREMENT.limit * MEASUREMENT.tightening ** attempt);
    if (attempt > 0 && [...stricter].every(([name, form]) => forms.get(name) === form)) continue;
    forms = stricter;
    const policy = policyOf(forms, statistics);
    const running = attempt === 0 ? options : quietly; // progress goes up once
    const outputs = (await runOnce(target, built, policy, samples, running)).map((output, index) =>
      outputError(output, reference[index]!.data),
    );
    const report = { name: options.name, products: reportProducts(built.graph, policy, statistics, predicted), outputs };
    if (best === undefined || leastCosine(report) > leastCosine(best.report)) best = { policy, report };
    if (leastCosine(report) >= MEASUREMENT.leastCosine) break;
  }
  return best!;
}

function leastCosine({ outputs = [] }: QuantizationReport): number {
  return Math.min(1, ...outputs.map(({ cosine }) => cosine.min));
}

/** The function in float32, and what was seen of its products. */
async function runObserved(
  target: MeasuringTarget,
  built: FunctionGraph,
  observed: ObservedGraph,
  samples: EngineInputs<unknown>,
  options: MeasureOptions,
): Promise<{ reference: OutputValues[]; statistics: ProductStatistics[] }> {
  const asStored = { ...options, keepStored: true, optimize: false };
  const values = await runOnce(target, { ...built, graph: observed.graph }, () => undefined, samples, asStored);
  const own = built.graph.outputs.filter(({ type }) => type === 'float32').length;
  return { reference: values.slice(0, own), statistics: observed.read(values.slice(own).map(({ data }) => data)) };
}

/** Runs a function once. @returns all outputs of floats, in the graph's order. */
async function runOnce(
  { runtime, weights }: MeasuringTarget,
  { graph, inputs }: FunctionGraph,
  policy: QuantizationPolicy,
  samples: EngineInputs<unknown>,
  options: MeasureOptions & PlaceWeightsOptions & Pick<SessionOptions, 'optimize'>,
): Promise<OutputValues[]> {
  const ready = await placeGraph(weights, graph, policy, options);
  try {
    const session = await runtime.createSession(ready.graph, { ...ready.settings, optimize: options.optimize });
    try {
      const given = new Map(flattenTree<HostTensor>(samples).map(({ path, leaf }) => [path, leaf]));
      const results = await session.run(
        inputs.map(({ name }) => given.get(name) ?? missing(name, options.name)),
        undefined,
        options,
      );
      return await readFloats(
        results,
        graph.outputs.map(({ name }) => name),
      );
    } finally {
      await session.dispose();
    }
  } finally {
    ready.release();
  }
}

function missing(input: string, name: string): never {
  throw new InputError(`${name}: the samples lack the input ${input}. Give samples that the function could be called with.`);
}

/** Takes the tensors over. */
async function readFloats(tensors: readonly RuntimeTensor[], names: readonly string[]): Promise<OutputValues[]> {
  try {
    const values: OutputValues[] = [];
    for (const [index, tensor] of tensors.entries()) {
      if (tensor.dtype !== 'float32') continue;
      values.push({ name: names[index]!, shape: tensor.shape, data: Float32Array.from(await tensor.data()) });
    }
    return values;
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}

/** Reads every matrix once. A matrix that several products share has to do for all of them. */
async function predictAll(statistics: readonly ProductStatistics[], options: MeasureOptions): Promise<PredictedProduct[]> {
  const blockSize = QUANTIZATION.blockSize[8];
  const predicted: PredictedProduct[] = [];
  for (const [name, seen] of Map.groupBy(statistics, (one) => one.name)) {
    const { weight, exponents } = seen[0]!;
    const matrix = weightStatistics((await weight.read(options)) as Float32Array, exponents, blockSize);
    const errors = seen.map((one) => predictErrors(one, matrix, blockSize));
    const worst = errors.reduce((a, b) => (a.rows.results > b.rows.results ? a : b));
    // Their activations differ, and so would what moves from them into the one matrix.
    predicted.push({ name, errors: worst, canScale: seen.length === 1 });
  }
  return predicted;
}

function policyOf(forms: ReadonlyMap<string, ProductForm>, statistics: readonly ProductStatistics[]): QuantizationPolicy {
  const exponents = new Map(statistics.map((one) => [one.name, one.exponents]));
  const byName = new Map<string, QuantizedForm | undefined>();
  for (const [name, form] of forms) {
    const scaling = form.startsWith('scaled') ? { inputExponents: exponents.get(name)! } : {};
    const quantized: QuantizedForm = form.endsWith('blocks') ? { ...blocksOf(8), ...scaling } : { kind: 'columns', ...scaling };
    byName.set(name, form === 'float32' ? undefined : quantized);
  }
  return (_, name) => byName.get(name);
}
