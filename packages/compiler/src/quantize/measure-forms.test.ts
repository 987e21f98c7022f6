import '@tensorflow/tfjs-backend-cpu';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensorsFile, writeSafetensorsFile } from '@blip2/checkpoints/node';
import { type Described, leavesOf, type Weight } from '@blip2/core';
import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GraphCache } from '../cache/graph-cache.ts';
import { compileFor, type CompileOptions, type Target } from '../compile.ts';
import type { CompiledFunction } from '../compiled-function.ts';
import { engineFor } from '../engine.ts';
import { FileWeightStore } from '../runtime/file-weight-store.ts';
import { createNodeRuntime, type NodeRuntime } from '../runtime/node-runtime.ts';
import { mapTree } from '../tree.ts';
import { roundWhole, type TestBlock, testBlocks, type TestInputs, testModel, testRows, WIDTH } from './outlier-test-model.ts';
import { outputError } from './output-errors.ts';
import type { ProductForm } from './predict-error.ts';
import type { QuantizationReport } from './report.ts';

let folder: string;
let runtime: NodeRuntime;
let target: Target;

beforeEach(async () => {
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'blip2-measure-'));
  runtime = await createNodeRuntime();
  target = open();
});

afterEach(async () => {
  runtime.dispose();
  await rm(folder, { recursive: true, force: true });
});

const open = (): Target => ({
  runtime,
  weights: new FileWeightStore({ cacheFolder: join(folder, 'cache') }),
  graphs: new GraphCache(join(folder, 'cache'), runtime),
});

type Blocks = Described<readonly TestBlock[]>;
type Options = Partial<CompileOptions<TestInputs, readonly TestBlock[]>>;

const samples = (rows = testRows(60)) => ({ samples: () => Promise.resolve({ x: rows }) });

function compileModel(weights: Blocks, options: Options = samples(), compute = testModel) {
  return compileFor<TestInputs, tf.Tensor2D, readonly TestBlock[]>(target, (inputs, blocks) => compute(inputs, blocks), {
    name: 'test model',
    inputs: { x: { shape: ['rows', WIDTH] } },
    weights,
    dtype: 'int8',
    quantize: 'many-rows',
    ...options,
  });
}

/** Least cosine of any row with tfjs in float32, for rows that were not among the samples. */
async function leastCosine(weights: Blocks, run: (blocks: readonly TestBlock[], x: tf.Tensor2D) => Promise<Float32Array>) {
  const rows = testRows(40, 1);
  const tensors = new Map<Weight, tf.Tensor>();
  for (const leaf of leavesOf(weights) as Weight[]) tensors.set(leaf, tf.tensor(await leaf.read(), [...leaf.shape]));
  const blocks = mapTree(weights, (leaf) => tensors.get(leaf as Weight)) as readonly TestBlock[];
  const x = tf.tensor2d(rows.data, [40, WIDTH]);
  const expected = testModel({ x }, blocks).dataSync() as Float32Array;
  return outputError({ name: 'y', shape: [40, WIDTH], data: await run(blocks, x) }, expected).cosine.min;
}

/** The same of a compiled function. */
function compiledCosine(weights: Blocks, compiled: CompiledFunction<TestInputs, tf.Tensor2D>): Promise<number> {
  return leastCosine(weights, async (_, x) => (await (await compiled.run({ x })).data()) as Float32Array);
}

const formsOf = (report: QuantizationReport | undefined): ProductForm[] => report!.products.map(({ form }) => form);

it('without outliers all products have the fast form', async () => {
  using compiled = await compileModel(testBlocks());
  expect(new Set(formsOf(compiled.report))).toEqual(new Set(['rows']));
  expect(compiled.report!.outputs![0]!.cosine.min).toBeGreaterThan(0.999);
  expect(await compiledCosine(testBlocks(), compiled)).toBeGreaterThan(0.999);
});

/** What norms feed, and what comes behind. */
const alternating: ProductForm[] = ['scaled rows', 'rows', 'scaled rows', 'rows', 'scaled rows', 'rows'];

describe.each([
  { name: 'large channels of norms', outliers: { gain: 200 }, wholeBelow: 0.9, forms: alternating },
  { name: 'massive activations of one row', outliers: { massive: 400 }, wholeBelow: 0.99, forms: Array(6).fill('rows') },
  { name: 'both', outliers: { gain: 100, massive: 200 }, wholeBelow: 0.9, forms: alternating },
])('with $name', ({ outliers, wholeBelow, forms }) => {
  it('one scale for all activations breaks the function, and the choice by measurement keeps it', async () => {
    const weights = testBlocks(outliers);
    const whole = (blocks: readonly TestBlock[], x: tf.Tensor2D): Promise<Float32Array> =>
      testModel({ x }, blocks, roundWhole).data() as Promise<Float32Array>;
    expect(await leastCosine(weights, whole)).toBeLessThan(wholeBelow);
    using compiled = await compileModel(weights);
    expect(await compiledCosine(weights, compiled)).toBeGreaterThan(0.999);
    // The fast products, in all cases.
    expect(formsOf(compiled.report)).toEqual(forms);
    expect(compiled.report!.outputs![0]!.cosine.min).toBeGreaterThan(0.999);
  });
});

it('goes block by block where nothing is measured: without samples, for few rows, and with 4 bits', async () => {
  for (const [options, bits] of [
    [{}, 8],
    [{ ...samples(), quantize: 'few-rows' }, 8],
    [{ ...samples(), dtype: 'int4' }, 4],
  ] as [Options, number][]) {
    using compiled = await compileModel(testBlocks(), options);
    const { products, outputs } = compiled.report!;
    expect(new Set(products.map(({ form, bits: own }) => `${form} ${own}`))).toEqual(new Set([`blocks ${bits}`]));
    expect([outputs, products[0]!.measured]).toEqual([undefined, undefined]);
  }
});

it('reports nothing for float32', async () => {
  using float = await compileModel(testBlocks(), { ...samples(), dtype: 'fp32' });
  using never = await compileModel(testBlocks(), { ...samples(), quantize: 'never' });
  expect([float.report, never.report]).toEqual([undefined, undefined]);
});

it('a matrix of several products is not scaled: their activations differ', async () => {
  const [first, second, third] = testBlocks({ gain: 100 });
  const shared = [first!, { ...second!, inner: first!.inner }, third!];
  using compiled = await compileModel(shared);
  const forms = compiled.report!.products.filter(({ name }) => name === 'blocks.0.inner.weight').map(({ form }) => form);
  expect(forms).toEqual(['float32', 'float32']);
  expect(await compiledCosine(shared, compiled)).toBeGreaterThan(0.999);
});

it('measures with weights in 16 bits as they lie in their file, without a copy in 32', async () => {
  const weights = await storedAsFloat16(testBlocks({ gain: 100 }));
  using compiled = await compileModel(weights.blocks);
  expect(compiled.report!.outputs![0]!.cosine.min).toBeGreaterThan(0.999);
  // Codes of 8 bits, and what is small in float32.
  const cached = await bytesOf(join(folder, 'cache', 'weights-1'));
  expect(cached).toBeGreaterThan(6 * 512 * WIDTH);
  expect(cached).toBeLessThan(6 * 512 * WIDTH * 1.5);
  weights.close();
});

it('an abort ends measuring', async () => {
  const abort = new AbortController();
  const stopped = { samples: () => (abort.abort(), Promise.resolve({ x: testRows(4) })), abortSignal: abort.signal };
  await expect(expectNoLeak(() => compileModel(testBlocks(), stopped))).rejects.toMatchObject({ name: 'AbortError' });
});

it('says which input samples lack', async () => {
  const wrong = { samples: () => Promise.resolve({ y: testRows(4) } as never) };
  await expect(compileModel(testBlocks(), wrong)).rejects.toThrowErrorMatchingInlineSnapshot(
    `[InputError: test model: the samples lack the input x. Give samples that the function could be called with.]`,
  );
});

describe('the cache', () => {
  it('finds the choice again, with its report, and measures anew for other samples', async () => {
    const { blocks, close } = await storedAsFloat16(testBlocks());
    let traces = 0;
    const counted: typeof testModel = (inputs, weights) => {
      traces++;
      return testModel(inputs, weights);
    };
    const start = async (options: Options): Promise<QuantizationReport> => {
      target = open();
      using compiled = await compileModel(blocks, { identity: 1, ...options }, counted);
      return compiled.report!;
    };
    const first = await start(samples());
    const traced = traces;
    expect(await start(samples())).toEqual(first);
    expect(await start(samples(tf.tensor2d(testRows(60).data, [60, WIDTH]) as never))).toEqual(first);
    expect(traces).toBe(traced);
    const other = await start(samples(testRows(50, 2)));
    expect(traces).toBeGreaterThan(traced);
    expect(other.outputs).not.toEqual(first.outputs);
    await start({});
    expect(traces).toBe(3 * traced);
    close();
  });
});

it('a model file has the same forms', async () => {
  using compiled = await compileModel(testBlocks({ gain: 100 }));
  const session = await InferenceSession.create(await compiled.toOnnx());
  const rows = testRows(20, 1);
  const { value } = await session.run({ x: new Tensor('float32', rows.data, [20, WIDTH]) });
  const expected = (await (await compiled.run({ x: rows })).data()) as Float32Array;
  expect(value!.data as Float32Array).toBeAllclose(expected, 1e-5);
  await session.release();
});

it('an engine tells its reports', async () => {
  const reports: QuantizationReport[] = [];
  const engine = engineFor(target, { dtype: 'int8', onReport: (report) => reports.push(report) });
  const prepare = (name: string, quantize: 'never' | 'many-rows') =>
    engine.prepare((blocks: readonly TestBlock[], inputs: TestInputs) => testModel(inputs, blocks), {
      name,
      params: testBlocks(),
      inputs: { x: { shape: ['rows', WIDTH] } },
      quantize,
      ...samples(),
    });
  (await prepare('measured', 'many-rows')).dispose();
  (await prepare('float', 'never')).dispose();
  expect(reports.map(({ name, products }) => [name, products.length])).toEqual([['measured', 6]]);
});

async function bytesOf(path: string): Promise<number> {
  const sizes = await Promise.all((await readdir(path)).map(async (file) => (await stat(join(path, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The same weights by reference to a file in half precision. */
async function storedAsFloat16(blocks: Blocks): Promise<{ blocks: Blocks; close: () => void }> {
  const leaves = leavesOf(blocks) as Weight[];
  const path = join(folder, 'model.safetensors');
  const tensors = await Promise.all(leaves.map(async (one) => ({ name: one.name, shape: one.shape, values: await one.read() })));
  await writeSafetensorsFile(path, tensors, { dtype: 'F16' });
  const file = await openSafetensorsFile(path);
  return { blocks: mapTree(blocks, (leaf) => file.get((leaf as Weight).name)!) as Blocks, close: () => file.dispose() };
}
