import {
  ConfigError,
  DisposedError,
  type EngineTensor,
  type HostTensor,
  InputError,
  ResourceError,
  ShapeError,
  sizeOf,
  UnsupportedBackendError,
} from '@blip2/core';
import type { OnnxGraph, OnnxInitializer } from '../onnx/graph.ts';
import { writeModel } from '../onnx/write-model.ts';
import { prepareForWebGpu, webGpuOptions } from '../passes/prepare-for-webgpu.ts';
import { assertRows, copyRows } from './gather-rows.ts';
import { assertAllowed } from './gpu-buffer-pool.ts';
import { findGpuDevice } from './gpu-device.ts';
import { GpuMemory } from './gpu-memory.ts';
import { type LoadedOrtWeb, loadOrtWeb, type WasmPaths } from './load-ort-web.ts';
import type { OrtData, OrtModule, OrtSession } from './ort-api.ts';
import { loadFailure } from './ort-failures.ts';
import { OrtRuntimeSession, type SessionContext } from './ort-session.ts';
import { dtypeOf, OrtRuntimeTensor, type TensorStorage } from './ort-tensor.ts';
import type { Provider, Runtime, RuntimeSession, RuntimeTensor, SessionOptions } from './runtime.ts';

/** How ONNX Runtime works in a page or a worker. */
export interface WebRuntimeOptions {
  readonly provider: 'webgpu' | 'wasm';
  /** Where the files of `onnxruntime-web` are served. @default beside its script, which is where bundlers put them */
  readonly wasmPaths?: WasmPaths;
  /**
   * Threads of one operation on the processor. More than one needs a page that is isolated from other origins, and `wasmPaths`: ONNX Runtime
   * starts them from the script that it is in, which in a bundle is the page's own.
   * @default for `wasm` the cores of the machine, at most 8, where that is so; else 1
   */
  readonly threads?: number;
  /**
   * The GPU to compute on, for `webgpu`; stays the caller's.
   * @default that of tfjs's WebGPU backend if it is the current backend, so that tensors pass without a copy; else one of its own
   */
  readonly device?: GPUDevice;
  /** The most GPU memory to keep for results to come, in bytes. @default 256 MiB */
  readonly maxPoolBytes?: number;
  /**
   * Imports another build of ONNX Runtime, such as `() => import('onnxruntime-web/jspi')`.
   * @default `onnxruntime-web/webgpu` or `onnxruntime-web/wasm`
   */
  readonly importOnnxRuntime?: () => Promise<unknown>;
}

/** {@link Runtime} in a browser. */
export interface WebRuntime extends Runtime {
  /** The GPU that it computes on; absent for `wasm`. */
  readonly device: GPUDevice | undefined;
  /** GPU memory of tensors, without that of graphs and of tfjs: in use, and kept for others. */
  readonly gpuBytes: { readonly used: number; readonly free: number };
}

/**
 * Opens ONNX Runtime (`onnxruntime-web`).
 *
 * @returns a runtime, the caller's to dispose.
 * @throws {UnsupportedBackendError} when the package is missing, its files cannot be fetched, or the browser has no WebGPU.
 * @throws {ConfigError} when the page runs ONNX Runtime with other threads or paths already.
 *
 * @example
 * const runtime = await createWebRuntime({ provider: 'webgpu' });
 */
export async function createWebRuntime(options: WebRuntimeOptions): Promise<WebRuntime> {
  const { provider, wasmPaths, maxPoolBytes = 256 * 2 ** 20 } = options;
  const threads = threadsFor(options);
  const device = provider === 'webgpu' ? (options.device ?? (await findGpuDevice())) : undefined;
  const loaded = await loadOrtWeb(provider, { wasmPaths, threads }, options.importOnnxRuntime);
  const runtime = new OnnxWebRuntime(loaded, provider, device, maxPoolBytes);
  await assertWorks(runtime);
  return runtime;
}

/** @throws {ConfigError} for threads that cannot be. */
function threadsFor({ provider, threads, wasmPaths }: WebRuntimeOptions): number {
  const isIsolated = globalThis.crossOriginIsolated;
  if (threads === undefined) {
    return provider === 'wasm' && isIsolated && wasmPaths !== undefined ? Math.min(8, navigator.hardwareConcurrency) : 1;
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new ConfigError(`createWebRuntime: threads is ${threads}, expected a whole number from 1 on.`);
  }
  if (threads === 1 || (isIsolated && wasmPaths !== undefined)) return threads;
  const cure = isIsolated
    ? 'it starts them from its own file. Name the URLs of its files in wasmPaths'
    : 'they share memory, which browsers allow in pages that are isolated from other origins. Serve the page with the headers ' +
      'Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp';
  throw new ConfigError(
    `createWebRuntime: threads is ${threads}, but ONNX Runtime can have one here: ${cure}, or leave threads out.`,
  );
}

class OnnxWebRuntime implements WebRuntime {
  readonly name: string;
  readonly provider: Provider;
  readonly device: GPUDevice | undefined;
  readonly #ort: OrtModule;
  readonly #gpu: GpuMemory | undefined;
  readonly #context: SessionContext;
  #disposed = false;

  constructor({ ort, exclusive }: LoadedOrtWeb, provider: Provider, device: GPUDevice | undefined, maxPoolBytes: number) {
    this.name = `ONNX Runtime Web ${ort.env.versions.web ?? ort.env.versions.common}, ${provider}`;
    this.provider = provider;
    this.device = device;
    this.#ort = ort;
    const shared = { ort, onRelease: () => undefined, writesInPlace: false };
    if (device === undefined) {
      this.#context = { ...shared, storage: JAVASCRIPT_MEMORY, exclusive };
      return;
    }
    const gpu = new GpuMemory(ort, device, maxPoolBytes);
    const lost = watchDevice(device, this.name);
    this.#gpu = gpu;
    this.#context = {
      ...shared,
      storage: gpu,
      allocate: (dtype, shape) => gpu.allocate(dtype, shape),
      adopt: (result) => gpu.adopt(result),
      exclusive: (work) =>
        exclusive(() => {
          lost.throwIfLost();
          return work();
        }),
    };
  }

  get gpuBytes(): WebRuntime['gpuBytes'] {
    return this.#gpu?.bytes ?? { used: 0, free: 0 };
  }

  async createSession(graph: OnnxGraph, options: SessionOptions): Promise<RuntimeSession> {
    if (this.#disposed) throw new DisposedError(this.name);
    options.abortSignal?.throwIfAborted();
    const { device } = this;
    if (device !== undefined) {
      for (const { name, bytes } of graph.initializers) assertAllowed(device, bytes?.length ?? 0, `the weight '${name}'`);
    }
    const session = await this.#context.exclusive!(() =>
      this.#load(device === undefined ? graph : prepareForWebGpu(graph), options),
    );
    try {
      options.abortSignal?.throwIfAborted();
      return new OrtRuntimeSession(options.name, session, this.#context);
    } catch (cause) {
      await this.#context.exclusive!(() => session.release());
      throw cause;
    }
  }

  createTensor(values: HostTensor): RuntimeTensor {
    const { shape, data } = values;
    if (data.length !== sizeOf(shape)) {
      throw new ShapeError(
        `createTensor: got ${data.length} values, but the shape [${shape.join(', ')}] needs ${sizeOf(shape)}. Correct the shape.`,
        [data.length],
        shape,
      );
    }
    const tensor = this.#gpu?.upload(values) ?? new this.#ort.Tensor(dtypeOf(data), data.slice(), shape);
    return new OrtRuntimeTensor(tensor, this.#context.storage);
  }

  async gatherRows(tensor: EngineTensor, rows: readonly number[]): Promise<RuntimeTensor> {
    assertRows(tensor, rows);
    if (this.#gpu !== undefined && tensor instanceof OrtRuntimeTensor) {
      const gathered = this.#gpu.gatherRows(tensor.hold(), rows);
      tensor.release();
      if (gathered !== undefined) return new OrtRuntimeTensor(gathered, this.#gpu);
    }
    const values = await tensor.data();
    const shape = [rows.length, ...tensor.shape.slice(1)];
    const data = new (values.constructor as new (length: number) => OrtData)(sizeOf(shape));
    copyRows(values, tensor.shape, rows, data);
    const gathered = this.#gpu?.upload({ shape, data }) ?? new this.#ort.Tensor(tensor.dtype, data, shape);
    return new OrtRuntimeTensor(gathered, this.#context.storage);
  }

  dispose(): void {
    this.#disposed = true;
    this.#gpu?.clear();
  }

  async #load(graph: OnnxGraph, options: SessionOptions): Promise<OrtSession> {
    const { model, files } = splitWeights(graph);
    const { device } = this;
    // Booleans come to JavaScript at once: tfjs and ONNX keep them in different forms.
    const locations = graph.outputs.map(({ name, type }) => [name, type === 'bool' ? 'cpu' : 'gpu-buffer']);
    try {
      return await this.#ort.InferenceSession.create(model, {
        executionProviders: [device === undefined ? 'wasm' : { ...webGpuOptions(model), device }],
        externalData: files,
        graphOptimizationLevel: options.optimize === false ? 'disabled' : 'all',
        // What goes wrong is thrown; without this it is printed as well.
        logSeverityLevel: 4,
        ...(device === undefined ? {} : { preferredOutputLocation: Object.fromEntries(locations) }),
        extra: { session: { disable_prepacking: options.prepack === false ? '1' : '0' } },
      });
    } catch (cause) {
      throw loadFailure(options.name, cause);
    }
  }
}

/** Values of more bytes are handed to ONNX Runtime beside the model, which saves two copies and knows no limit of 2 GiB. */
const LARGEST_INLINE = 4096;

/** A model without its large values, and these by the names of the files in which it looks for them. */
function splitWeights(graph: OnnxGraph): { model: Uint8Array; files: readonly { path: string; data: Uint8Array }[] } {
  const files: { path: string; data: Uint8Array }[] = [];
  const initializers = graph.initializers.map((initializer): OnnxInitializer => {
    const { bytes } = initializer;
    if (bytes === undefined || bytes.length <= LARGEST_INLINE) return initializer;
    const file = `values${files.length}`;
    files.push({ path: file, data: bytes });
    return { ...initializer, bytes: undefined, location: { file, byteOffset: 0, byteLength: bytes.length } };
  });
  return { model: writeModel({ ...graph, initializers }, { externalPath: (file) => file }), files };
}

/** Tensors of the processor are typed arrays, which the collector frees. */
const JAVASCRIPT_MEMORY: TensorStorage = {
  download: (tensor) => tensor.getData() as Promise<OrtData>,
  recycle: (tensor) => tensor.dispose(),
};

/** Remembers whether a GPU went away: after that nothing on it gives right results, and not every call would say so. */
function watchDevice(device: GPUDevice, name: string): { throwIfLost(): void } {
  let lost: GPUDeviceLostInfo | undefined;
  void device.lost.then((info) => {
    lost = info;
  });
  return {
    throwIfLost() {
      if (lost === undefined) return;
      const detail = lost.message.trim().replace(/\.$/, '') || lost.reason;
      throw new ResourceError(
        `${name}: the GPU device was lost (${detail}), and everything on it. Reload the page, or make a runtime with a new device and load again; if it was too much ` +
          'memory, use smaller batches or a smaller number format.',
      );
    },
  };
}

/** Runs a graph of one node: files may be missing, and a GPU that is there may still not work. */
async function assertWorks(runtime: Runtime): Promise<void> {
  try {
    const session = await runtime.createSession(PROBE, { name: 'createWebRuntime' });
    const [result] = await session.run([{ shape: [1], data: Float32Array.of(1) }]);
    const [value] = await result!.data();
    if (value !== -1) throw new InputError(`-1 came out as ${value}`);
    result!.dispose();
    await session.dispose();
  } catch (cause) {
    const detail = (cause instanceof Error ? ((cause.cause as Error | undefined) ?? cause).message : String(cause)).trim();
    throw new UnsupportedBackendError(
      `createWebRuntime: ${runtime.name} does not work here: ${detail.split('\n')[0]!.replace(/\.$/, '')}. If its files could not be fetched, serve those ` +
        'of onnxruntime-web/dist and name their folder in wasmPaths; else choose another provider.',
      { cause },
    );
  }
}

const PROBE: OnnxGraph = {
  name: 'probe',
  nodes: [{ operator: 'Neg', domain: '', inputs: ['x'], outputs: ['y'], attributes: {} }],
  initializers: [],
  inputs: [{ name: 'x', type: 'float32', shape: [1] }],
  outputs: [{ name: 'y', type: 'float32', shape: [1] }],
};
