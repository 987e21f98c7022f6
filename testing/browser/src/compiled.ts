import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import type { BrowserTargetOptions, StepReport } from '@blip2/compiler/browser';
import { errorCode, linear, type LinearParams, weightFromValues } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
// The builds of ONNX Runtime with threads start them from a file of their own.
import wasmScriptUrl from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmUrl from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import {
  energyWithGradient,
  type Layer,
  type Regression,
  REGRESSION,
  type RegressionBatch,
  regressionLoss,
  values,
} from './functions.ts';
import { plain, type PlainTensor } from './plain.ts';

// As an application would that does without it at first; blip2/browser does so too.
const { browserTarget, compile, compileTrainingStep } = await import('@blip2/compiler/browser');

/** Which compiled functions a test is about. */
export type Provider = 'wasm' | 'webgpu';

/** An error that left the page. */
export interface PlainError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
}

/** What went to and from the GPU, or around on it. */
export interface GpuTraffic {
  readonly downloads: number;
  /** Copies of at least the tensor's size from buffer to buffer. */
  readonly copies: number;
}

/** What is left when everything was disposed. */
export interface Leftovers {
  readonly tensors: number;
  readonly gpuBytes: number;
  readonly weightBytes: number;
}

/** Calls of compiled functions. Arguments and results are plain data. */
export interface CompiledPage {
  gradients(provider: Provider, rows: readonly number[]): Promise<{ value: number; gradient: PlainTensor }[]>;
  train(provider: Provider, steps: number): Promise<{ reports: StepReport[]; hidden: number[] }>;
  product(provider: Provider, dtype: 'int8' | 'int4'): Promise<number[]>;
  exchange(): Promise<GpuTraffic & { values: number[]; leftovers: Leftovers }>;
  lifetimes(rounds: number): Promise<{ wrong: string[]; leftovers: Leftovers }>;
  gatherOnGpu(rows: readonly number[]): Promise<GpuTraffic & { gathered: PlainTensor }>;
  devices(): Promise<{ shared: boolean; own: boolean; values: number[] }>;
  threads(count: number): Promise<{ name: string; values: number[] }>;
  misuse(provider: Provider): Promise<PlainError[]>;
  failures(): Promise<Record<string, PlainError>>;
  trap(): Promise<PlainError[]>;
  leftovers(provider: Provider): Promise<Leftovers>;
}

/** The options of a test's runtime: one for each provider in a page. */
export function optionsFor(provider: Provider): BrowserTargetOptions {
  const wasmPaths = { mjs: new URL(wasmScriptUrl, location.href), wasm: new URL(wasmUrl, location.href) };
  return provider === 'wasm' && crossOriginIsolated ? { provider, wasmPaths, threads: 2 } : { provider };
}

/** @param before - Tensors that were there at the beginning. */
async function leftovers(provider: Provider, before = 0): Promise<Leftovers> {
  const { runtime, weights } = await browserTarget(optionsFor(provider));
  return { tensors: tf.memory().numTensors - before, gpuBytes: runtime.gpuBytes.used, weightBytes: weights.keptBytes };
}

function describeError(error: Error): PlainError {
  return { name: error.name, code: errorCode(error), message: error.message };
}

async function errorOf(work: () => Promise<unknown>): Promise<PlainError> {
  try {
    await work();
  } catch (error) {
    return describeError(error as Error);
  }
  return { name: 'none', code: undefined, message: 'it worked' };
}

/** What crosses while `work` runs, without settings of kernels. @param bytes - Of the tensors. */
async function watchTraffic<Result>(bytes: number, work: () => Promise<Result>): Promise<GpuTraffic & { result: Result }> {
  const traffic = { downloads: 0, copies: 0 };
  const { mapAsync } = GPUBuffer.prototype;
  const { copyBufferToBuffer } = GPUCommandEncoder.prototype;
  GPUBuffer.prototype.mapAsync = function (...args): Promise<undefined> {
    traffic.downloads++;
    return mapAsync.apply(this, args);
  };
  GPUCommandEncoder.prototype.copyBufferToBuffer = function (...args: unknown[]): undefined {
    if (Number(args.at(-1)) >= bytes) traffic.copies++;
    return copyBufferToBuffer.apply(this, args as never);
  };
  try {
    const result = await work();
    return { ...traffic, result };
  } finally {
    GPUBuffer.prototype.mapAsync = mapAsync;
    GPUCommandEncoder.prototype.copyBufferToBuffer = copyBufferToBuffer;
  }
}

type One = { readonly x: Tensor };
const affine = ({ x }: One): Tensor => tf.add(tf.mul(x, 2), 1);

/** 2x + 1 for any shape of some rank, on the GPU of tfjs. */
const compileAffine = (shape: readonly (string | number)[]) =>
  compile<One, Tensor>(affine, { inputs: { x: { shape } } as never, ...optionsFor('webgpu') });

export const compiledPage: CompiledPage = {
  async gradients(provider, rows) {
    const inputs = { x: { shape: ['rows', 3] }, weight: { shape: [3, 2] } };
    using compiled = await compile((layer: Layer) => energyWithGradient(layer), { inputs, ...optionsFor(provider) });
    const results: { value: number; gradient: PlainTensor }[] = [];
    for (const count of rows) {
      const x = tf.tensor2d(values([count, 3], count).data, [count, 3]);
      const { value, gradient } = await compiled.run({ x, weight: values([3, 2], 9) });
      results.push({
        value: (await value.data())[0]!,
        gradient: { shape: [...gradient.shape], data: [...(await gradient.data())] },
      });
      for (const tensor of [x, value, gradient]) tensor.dispose();
    }
    return results;
  },

  async train(provider, steps) {
    const { params, specs, options } = REGRESSION;
    const step = await compileTrainingStep<Regression, RegressionBatch>(regressionLoss, {
      params,
      batch: specs,
      ...options,
      ...optionsFor(provider),
    });
    const reports: StepReport[] = [];
    for (let index = 0; index < steps; index++) reports.push(await step.run(REGRESSION.batch, { learningRate: 0.05 }));
    const state = await step.state();
    step.dispose();
    return { reports, hidden: [...state.params.hidden.data] };
  },

  async product(provider, dtype) {
    const weights = { weight: weightFromValues('weight', [256, 256], values([256, 256], 5).data) };
    const inputs = { x: { shape: ['rows', 256] } };
    using compiled = await compile<{ x: Tensor2D }, Tensor, LinearParams>(({ x }, params) => linear(params, x), {
      inputs,
      weights,
      dtype,
      ...optionsFor(provider),
    });
    const result = await compiled.run({ x: values([3, 256], 6) });
    const numbers = [...(await result.data())];
    result.dispose();
    return numbers;
  },

  async exchange() {
    const before = tf.memory().numTensors;
    const bytes = 4 * 64 * 32;
    const compiled = await compileAffine(['rows', 32]);
    const start = values([64, 32], 1);
    const warm = await compiled.run({ x: start });
    warm.dispose();
    const x = tf.tensor2d(start.data, [64, 32]);
    const { result, ...traffic } = await watchTraffic(bytes, async () => {
      const doubled = tf.mul(x, 2); // on the GPU from here on
      const first = await compiled.run({ x: doubled }); // 4x + 1
      doubled.dispose();
      const between = await first.toTensor();
      first.dispose();
      const negated = tf.neg(between);
      between.dispose();
      const second = await compiled.run({ x: negated }); // 2(−4x − 1) + 1
      negated.dispose();
      const last = await second.toTensor();
      return { second, last };
    });
    const [fromTfjs, fromRuntime] = [await result.last.data(), await result.second.data()];
    const same = fromTfjs.every((value, index) => value === fromRuntime[index]);
    for (const tensor of [x, result.second, result.last]) tensor.dispose();
    compiled.dispose();
    return { ...traffic, values: same ? [...fromTfjs] : [], leftovers: await leftovers('webgpu', before) };
  },

  async lifetimes(rounds) {
    const before = tf.memory().numTensors;
    const compiled = await compileAffine(['n']);
    const held: { tensor: Tensor; expected: number }[] = [];
    const wrong: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const length = [5, 8, 1, 64, 3][round % 5]!; // not all are multiples of 16 bytes
      const x = tf.tidy(() => tf.mul(tf.ones([length]), round));
      const result = await compiled.run({ x });
      x.dispose();
      const tensor = await result.toTensor();
      if (round % 3 === 0) result.dispose(); // before tfjs used it
      const later = tf.reshape(tensor, [length, 1]); // the same values under another tensor
      tensor.dispose();
      if (round % 3 === 1) result.dispose(); // before the last tensor is gone
      held.push({ tensor: later, expected: 2 * round + 1 });
      if (held.length > 4) wrong.push(...(await differences(held.shift()!)));
      if (round % 3 === 2) result.dispose(); // after other runs took buffers
    }
    for (const one of held) wrong.push(...(await differences(one)));
    compiled.dispose();
    return { wrong, leftovers: await leftovers('webgpu', before) };
  },

  async gatherOnGpu(rows) {
    const { runtime } = await browserTarget(optionsFor('webgpu'));
    const compiled = await compileAffine(['rows', 8]);
    const table = await compiled.run({ x: values([4, 8], 2) });
    const { result, ...traffic } = await watchTraffic(1e9, () => runtime.gatherRows(table, rows));
    const gathered = { shape: [...result.shape], data: [...(await result.data())] };
    for (const tensor of [table, result]) tensor.dispose();
    compiled.dispose();
    return { ...traffic, gathered };
  },

  async devices() {
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    const shared = await browserTarget(optionsFor('webgpu'));
    await tf.setBackend('wasm');
    const own = await browserTarget(optionsFor('webgpu'));
    using compiled = await compileAffine(['n']);
    const x = tf.tensor1d([1, 2, 3]);
    const result = await compiled.run({ x });
    const tensor = await result.toTensor(); // through JavaScript: tfjs computes elsewhere
    const { data } = await plain(tensor);
    for (const one of [x, result, tensor]) one.dispose();
    await tf.setBackend('webgpu');
    return { shared: shared.runtime.device === device, own: own.runtime.device !== device, values: data };
  },

  async threads(count) {
    const { runtime } = await browserTarget({ ...optionsFor('wasm'), threads: count });
    using compiled = await compile<One, Tensor>(affine, { inputs: { x: { shape: [3] } }, ...optionsFor('wasm') });
    const result = await compiled.run({ x: { shape: [3], data: Float32Array.of(1, 2, 3) } });
    return { name: runtime.name, values: [...(await result.data())] };
  },

  async misuse(provider) {
    const compiled = await compile<One, Tensor>(affine, {
      name: 'affine',
      inputs: { x: { shape: [2] } },
      ...optionsFor(provider),
    });
    const x = { shape: [2], data: Float32Array.of(1, 2) };
    const result = await compiled.run({ x });
    result.dispose();
    const errors = [
      await errorOf(() => result.data()),
      await errorOf(() => result.toTensor()),
      await errorOf(() => compiled.run({ x: result })),
    ];
    errors.push(await errorOf(() => compiled.run({ x: { shape: [3], data: new Float32Array(3) } })));
    compiled.dispose();
    errors.push(await errorOf(() => compiled.run({ x })));
    return errors;
  },

  async failures() {
    const importOnnxRuntime = (): Promise<never> => Promise.reject(new Error("Cannot find package 'onnxruntime-web'"));
    return {
      noGpu: await errorOf(() => browserTarget({ provider: 'webgpu' })),
      noPackage: await errorOf(() => browserTarget({ provider: 'wasm', importOnnxRuntime })),
      noThreads: await errorOf(() => browserTarget({ provider: 'wasm', threads: 4 })),
      noFiles: await errorOf(() => browserTarget({ provider: 'wasm', wasmPaths: '/nowhere/' })),
    };
  },

  async trap() {
    const options = { inputs: { x: { shape: ['n'] } }, ...optionsFor('webgpu') };
    using softmax = await compile<One, Tensor>(({ x }) => tf.softmax(x as tf.Tensor1D), { name: 'softmax', ...options } as never);
    const empty = { shape: [0], data: new Float32Array(0) };
    return [
      await errorOf(() => softmax.run({ x: empty })),
      await errorOf(() => softmax.run({ x: { shape: [1], data: Float32Array.of(1) } })),
    ];
  },

  leftovers: (provider) => leftovers(provider),
};

/** Checks the values of a tensor through tfjs, and disposes it. */
async function differences({ tensor, expected }: { tensor: Tensor; expected: number }): Promise<string[]> {
  const scaled = tf.mul(tensor, 10);
  tensor.dispose();
  const found = [...(await scaled.data())];
  const shape = scaled.shape;
  scaled.dispose();
  const isRight = found.length === shape[0] && found.every((value) => value === 10 * expected);
  return isRight ? [] : [`[${shape.join(', ')}] ${found.slice(0, 5).join(', ')} instead of ${10 * expected}`];
}
