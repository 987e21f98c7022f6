import type { Engine } from '@blip2/core';
import { compileFor, type CompileOptions, type Target } from './compile.ts';
import type { CompiledFunction } from './compiled-function.ts';
import { engineFor, type OnnxEngineOptions } from './engine.ts';
import { currentGpuBackend } from './runtime/tfjs-gpu.ts';
import { createWebRuntime, type WebRuntime, type WebRuntimeOptions } from './runtime/web-runtime.ts';
import type { LossFunction } from './training/training-function.ts';
import { compileTrainingStepFor, type TrainingStep, type TrainingStepOptions } from './training/training-step.ts';
import { MemoryWeightStore } from './weights/memory-weight-store.ts';

export * from './index.ts';
export { requestGpuDevice } from './runtime/gpu-device.ts';
export type { WasmPaths } from './runtime/load-ort-web.ts';
export type { WebRuntime } from './runtime/web-runtime.ts';

/** How and where functions run in a browser. */
export interface BrowserTargetOptions extends Omit<WebRuntimeOptions, 'provider'> {
  /** @default 'webgpu' where the browser has a GPU, else 'wasm' */
  readonly provider?: WebRuntimeOptions['provider'];
  /**
   * The most memory for converted weights of functions that live, kept for others that want the same ones, in bytes. ONNX Runtime has
   * copies of its own. @default 512 MiB
   */
  readonly maxKeptWeightBytes?: number;
}

/** Where functions run in a page and find their weights. */
export interface BrowserTarget extends Target {
  readonly runtime: WebRuntime;
  readonly weights: MemoryWeightStore;
}

/** All that WebAssembly can address with 32 bits. */
const WASM_BYTES = 2 ** 32;

/** Runtimes that were asked for, with what was asked; they are shared, and live as long as the page. */
const targets: { readonly key: readonly unknown[]; readonly target: Promise<BrowserTarget> }[] = [];

/**
 * Where compiled functions of this page run and find their weights. On the GPU of tfjs where its WebGPU backend is the current one, so
 * choose the backend before.
 *
 * @throws {UnsupportedBackendError} when onnxruntime-web is missing, or the provider does not work here.
 * @throws {ConfigError} when the page runs ONNX Runtime with other threads or paths already.
 */
export async function browserTarget(options: BrowserTargetOptions = {}): Promise<BrowserTarget> {
  const provider = options.provider ?? (await defaultProvider());
  const device = provider === 'webgpu' ? (options.device ?? currentGpuBackend()?.device) : undefined;
  const { wasmPaths, threads, maxPoolBytes, importOnnxRuntime, maxKeptWeightBytes } = options;
  const paths = typeof wasmPaths === 'object' ? `${wasmPaths.mjs} ${wasmPaths.wasm}` : wasmPaths;
  const key = [provider, device, paths, threads, maxPoolBytes, importOnnxRuntime, maxKeptWeightBytes];
  const known = targets.find((one) => one.key.every((value, index) => value === key[index]));
  if (known !== undefined) return known.target;
  const entry = {
    key,
    target: openTarget({ ...options, provider, device }, () => void targets.splice(targets.indexOf(entry), 1)),
  };
  targets.push(entry);
  return entry.target;
}

/** @param forget - Called when the target can be used no more. */
async function openTarget(
  { maxKeptWeightBytes, ...options }: BrowserTargetOptions & Pick<WebRuntimeOptions, 'provider'>,
  forget: () => void,
): Promise<BrowserTarget> {
  let runtime: WebRuntime;
  try {
    runtime = await createWebRuntime(options);
  } catch (cause) {
    forget();
    throw cause;
  }
  const { device } = runtime;
  if (device === undefined) {
    return { runtime, weights: new MemoryWeightStore({ maxKeptBytes: maxKeptWeightBytes, maxGraphBytes: WASM_BYTES }) };
  }
  void device.lost.then(forget);
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const weights = new MemoryWeightStore({
    maxKeptBytes: maxKeptWeightBytes,
    maxWeightBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
  });
  return { runtime, weights };
}

/** A GPU in software is slower than WebAssembly. */
async function defaultProvider(): Promise<WebRuntimeOptions['provider']> {
  if (currentGpuBackend() !== undefined) return 'webgpu';
  const adapter = await (globalThis.navigator?.gpu as GPU | undefined)?.requestAdapter();
  return adapter === undefined || adapter === null || (adapter.info as GPUAdapterInfo | undefined)?.isFallbackAdapter
    ? 'wasm'
    : 'webgpu';
}

/**
 * Compiles a function of tensors to ONNX Runtime. Nothing is kept from one visit to the next: tracing takes a moment, and weights are
 * in the browser's own cache.
 *
 * @example
 * const norm = await compile(({ x }: { x: tf.Tensor }) => tf.sqrt(tf.sum(tf.square(x), -1)), { inputs: { x: { shape: ['rows', 3] } } });
 * const lengths = await norm.run({ x: tf.tensor2d([[3, 0, 4]]) });
 * console.log(await lengths.data()); // [5]
 */
export async function compile<Inputs, Outputs, Weights = unknown>(
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights> & BrowserTargetOptions,
): Promise<CompiledFunction<Inputs, Outputs>> {
  return compileFor(await browserTarget(options), compute, options);
}

/**
 * An engine for the stages of BLIP-2, or for any pure functions of parameters and inputs.
 *
 * @example
 * const encoder = await loadVisionEncoder(checkpoint, { engine: await onnxEngine({ provider: 'webgpu' }) });
 */
export async function onnxEngine(options: OnnxEngineOptions & BrowserTargetOptions = {}): Promise<Engine> {
  return engineFor(await browserTarget(options), { dtype: options.dtype, onReport: options.onReport });
}

/**
 * Compiles a training step: forward, backward, clipping and AdamW in one graph.
 *
 * @example
 * const step = await compileTrainingStep((params: { weight: tf.Tensor2D }, batch: { x: tf.Tensor2D; y: tf.Tensor2D }) => ({
 *   loss: tf.mean(tf.square(tf.sub(tf.matMul(batch.x, params.weight), batch.y))) as tf.Scalar,
 * }), { params: { weight: { shape: [2, 1], data: new Float32Array(2) } }, batch: { x: { shape: [4, 2] }, y: { shape: [4, 1] } } });
 * const { loss } = await step.run(batch, { learningRate: 0.01 });
 */
export async function compileTrainingStep<Params, Batch, Frozen = unknown>(
  loss: LossFunction<Params, Batch, Frozen>,
  options: TrainingStepOptions<Params, Batch, Frozen> & BrowserTargetOptions,
): Promise<TrainingStep<Params, Batch>> {
  return compileTrainingStepFor(await browserTarget(options), loss, options);
}
