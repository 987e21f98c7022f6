import type { Engine } from '@blip2/core';
import { GraphCache } from './cache/graph-cache.ts';
import { compileFor, type CompileOptions, type Target } from './compile.ts';
import type { CompiledFunction } from './compiled-function.ts';
import { engineFor, type OnnxEngineOptions } from './engine.ts';
import { compilerCacheFolder } from './runtime/cache-folder.ts';
import { FileWeightStore } from './runtime/file-weight-store.ts';
import { createNodeRuntime, type NodeRuntimeOptions } from './runtime/node-runtime.ts';
import type { LossFunction } from './training/training-function.ts';
import { compileTrainingStepFor, type TrainingStep, type TrainingStepOptions } from './training/training-step.ts';

export * from './index.ts';
export { type ExportedModel, OnnxExporter } from './export/onnx-exporter.ts';

/** How and where functions run in Node. */
export interface NodeTargetOptions extends NodeRuntimeOptions {
  /**
   * Where converted weights and compiled graphs are kept from one start to the next; `false` keeps no graphs.
   * @default `$BLIP2_CACHE`, else `$XDG_CACHE_HOME/blip2`, else `~/.cache/blip2`
   */
  readonly cache?: string | false;
}

/** Runtimes that were asked for, by their options; they are shared, and live as long as the program. */
const targets: Map<string, Promise<Target>> = new Map();

/**
 * Where compiled functions of this program run and find their weights.
 * @throws {UnsupportedBackendError} when onnxruntime-node is missing, or the provider does not work here.
 */
export function nodeTarget(options: NodeTargetOptions = {}): Promise<Target> {
  const key = JSON.stringify(Object.entries(options).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  let target = targets.get(key);
  if (target === undefined) {
    target = openTarget(options);
    target.catch(() => targets.delete(key));
    targets.set(key, target);
  }
  return target;
}

async function openTarget({ cache = compilerCacheFolder(), ...options }: NodeTargetOptions): Promise<Target> {
  const runtime = await createNodeRuntime(options);
  const cacheFolder = cache === false ? compilerCacheFolder() : cache;
  const weights = new FileWeightStore({ cacheFolder });
  return cache === false ? { runtime, weights } : { runtime, weights, graphs: new GraphCache(cacheFolder, runtime) };
}

/**
 * Compiles a function of tensors to ONNX Runtime.
 *
 * @example
 * const norm = await compile(({ x }: { x: tf.Tensor }) => tf.sqrt(tf.sum(tf.square(x), -1)), { inputs: { x: { shape: ['rows', 3] } } });
 * const lengths = await norm.run({ x: tf.tensor2d([[3, 0, 4]]) });
 * console.log(await lengths.data()); // [5]
 */
export async function compile<Inputs, Outputs, Weights = unknown>(
  compute: (inputs: Inputs, weights: Weights) => Outputs,
  options: CompileOptions<Inputs, Weights> & NodeTargetOptions,
): Promise<CompiledFunction<Inputs, Outputs>> {
  const { provider, threads, spinning, maxPoolBytes, cache, ...rest } = options;
  return compileFor(
    await nodeTarget(definedOnly({ provider, threads, spinning, maxPoolBytes, cache })),
    compute,
    rest as CompileOptions<Inputs, Weights>,
  );
}

/**
 * An engine for the stages of BLIP-2, or for any pure functions of parameters and inputs.
 *
 * @example
 * const encoder = await loadVisionEncoder(checkpoint, { engine: await onnxEngine({ dtype: 'int8' }) });
 */
export async function onnxEngine(options: OnnxEngineOptions & NodeTargetOptions = {}): Promise<Engine> {
  const { dtype, onReport, ...rest } = options;
  return engineFor(await nodeTarget(definedOnly(rest)), { dtype, onReport });
}

function definedOnly<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
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
  options: TrainingStepOptions<Params, Batch, Frozen> & NodeTargetOptions,
): Promise<TrainingStep<Params, Batch>> {
  const { provider, threads, spinning, maxPoolBytes, cache, ...rest } = options;
  return compileTrainingStepFor(
    await nodeTarget(definedOnly({ provider, threads, spinning, maxPoolBytes, cache })),
    loss,
    rest as never,
  );
}
