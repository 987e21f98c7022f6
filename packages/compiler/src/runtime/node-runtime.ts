import { availableParallelism, totalmem } from 'node:os';
import { DisposedError, type EngineTensor, ShapeError, sizeOf, UnsupportedBackendError, type HostTensor } from '@blip2/core';
import type { OnnxGraph } from '../onnx/graph.ts';
import { writeModel, type WriteModelOptions } from '../onnx/write-model.ts';
import { prepareForWebGpu, webGpuOptions } from '../passes/prepare-for-webgpu.ts';
import { BufferPool } from './buffer-pool.ts';
import type { OrtData, OrtModule, OrtSession, OrtTensor } from './ort-api.ts';
import { assertRows, copyRows, gatherGraph } from './gather-rows.ts';
import { loadFailure } from './ort-failures.ts';
import { OrtRuntimeSession, type SessionContext } from './ort-session.ts';
import { dtypeOf, OrtRuntimeTensor, viewOf } from './ort-tensor.ts';
import type { Provider, Runtime, RuntimeSession, RuntimeTensor, SessionOptions } from './runtime.ts';
import { locateWeightFiles } from './weight-files.ts';

/** How ONNX Runtime works in Node. */
export interface NodeRuntimeOptions {
  /** @default 'cpu' */
  readonly provider?: 'cpu' | 'cuda' | 'webgpu';
  /** Threads of one operation. @default all that the system gives this process */
  readonly threads?: number;
  /**
   * Whether threads that wait for work keep their core busy for a moment. Faster where nothing else needs the cores.
   * @default true
   */
  readonly spinning?: boolean;
  /** The most memory to keep for outputs to come, in bytes. @default an eighth of the machine's memory, at most 1 GiB */
  readonly maxPoolBytes?: number;
}

/** {@link Runtime} in Node. */
export interface NodeRuntime extends Runtime {
  /**
   * A graph as an ONNX file, with what the provider cannot do done otherwise.
   * @param options - With the paths of {@link locateWeightFiles} for a graph that refers to files.
   */
  writeModel(graph: OnnxGraph, options: WriteModelOptions): Uint8Array;
  /**
   * Loads a model that was written before.
   *
   * @param model - The bytes of an ONNX file. Not used any more when the promise resolves.
   */
  loadModel(model: Uint8Array, options: LoadModelOptions): Promise<RuntimeSession>;
}

/** How a written model is loaded. */
export interface LoadModelOptions extends SessionOptions {
  /** The folder that the model's paths of weights start from. @default none: the model holds its weights */
  readonly weightFolder?: string;
  /** Writes the model as ONNX Runtime rearranged it to this path; loading that file with `isOptimized` skips the work. */
  readonly optimizedModelFile?: string;
  /** The model was rearranged before, by the same version of ONNX Runtime on the same kind of processor. @default false */
  readonly isOptimized?: boolean;
}

const GIBIBYTE = 2 ** 30;

/**
 * Opens ONNX Runtime (`onnxruntime-node`).
 *
 * @returns a runtime, the caller's to dispose.
 * @throws {UnsupportedBackendError} when the package is not installed, or the provider does not work on this machine.
 *
 * @example
 * const runtime = await createNodeRuntime({ provider: 'cpu' });
 */
export async function createNodeRuntime(options: NodeRuntimeOptions = {}): Promise<NodeRuntime> {
  const provider = options.provider ?? 'cpu';
  const ort = await loadOnnxRuntime();
  const runtime = new OnnxNodeRuntime(ort, {
    provider,
    threads: options.threads ?? availableParallelism(),
    spinning: options.spinning ?? true,
    maxPoolBytes: options.maxPoolBytes ?? Math.min(GIBIBYTE, Math.floor(totalmem() / 8)),
  });
  await assertWorks(runtime, ort);
  return runtime;
}

/** `onnxruntime-node`, which applications install themselves: it has 45 MB of native code. */
interface NodeOrtModule extends OrtModule {
  listSupportedBackends(): readonly { readonly name: string; readonly bundled: boolean }[];
}

/**
 * @param importModule - Imports it. @default `import('onnxruntime-node')`
 * @throws {UnsupportedBackendError} when it is missing or has nothing for this platform.
 */
export async function loadOnnxRuntime(
  importModule: () => Promise<unknown> = () => import('onnxruntime-node'),
): Promise<NodeOrtModule> {
  try {
    return (await importModule()) as NodeOrtModule;
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
    throw new UnsupportedBackendError(
      `createNodeRuntime: the package onnxruntime-node could not be loaded on ${process.platform} ${process.arch}: ${detail}. ` +
        'The compiled engine needs it. Run: npm install onnxruntime-node',
      { cause },
    );
  }
}

class OnnxNodeRuntime implements NodeRuntime {
  readonly name: string;
  readonly provider: Provider;
  readonly #ort: OrtModule;
  readonly #options: Required<NodeRuntimeOptions>;
  readonly #pool: BufferPool;
  readonly #context: SessionContext;
  /** Graphs that copy a tensor of a type and rank to the processor. */
  readonly #downloads: Map<string, Promise<OrtSession>> = new Map();
  /** Graphs that gather rows of a type and rank. */
  readonly #gathers: Map<string, Promise<RuntimeSession>> = new Map();
  #disposed = false;

  constructor(ort: OrtModule, options: Required<NodeRuntimeOptions>) {
    this.name = `ONNX Runtime ${ort.env.versions.node ?? ort.env.versions.common}, ${options.provider}`;
    this.provider = options.provider;
    this.#ort = ort;
    this.#options = options;
    this.#pool = new BufferPool(options.maxPoolBytes);
    this.#context = {
      ort,
      storage: { download: (tensor) => this.#download(tensor), recycle: (tensor) => this.#recycle(tensor) },
      // On a GPU results stay there, and each run makes its own.
      allocate: options.provider === 'webgpu' ? undefined : (dtype, shape) => this.#allocate(dtype, shape),
      onRelease: () => undefined,
    };
  }

  async createSession(graph: OnnxGraph, options: SessionOptions): Promise<RuntimeSession> {
    options.abortSignal?.throwIfAborted();
    const locations = graph.initializers.flatMap(({ location }) => location ?? []);
    const located = locations.length === 0 ? undefined : await locateWeightFiles(locations);
    const model = this.writeModel(graph, { externalPath: located?.pathOf });
    return this.loadModel(model, { ...options, weightFolder: located?.folder });
  }

  writeModel(graph: OnnxGraph, options: WriteModelOptions): Uint8Array {
    return writeModel(this.provider === 'webgpu' ? prepareForWebGpu(graph) : graph, options);
  }

  async loadModel(model: Uint8Array, options: LoadModelOptions): Promise<RuntimeSession> {
    if (this.#disposed) throw new DisposedError(this.name);
    options.abortSignal?.throwIfAborted();
    const session = await this.#load(model, options, this.provider === 'webgpu' ? 'gpu-buffer' : 'cpu');
    try {
      options.abortSignal?.throwIfAborted();
      return new OrtRuntimeSession(options.name, session, this.#context);
    } catch (cause) {
      await session.release();
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
    const tensor = this.#allocate(dtypeOf(data), shape);
    (tensor.data as OrtData).set(data);
    return new OrtRuntimeTensor(tensor, this.#context.storage);
  }

  async gatherRows(tensor: EngineTensor, rows: readonly number[]): Promise<RuntimeTensor> {
    assertRows(tensor, rows);
    if (this.provider === 'webgpu') return this.#gatherOnGpu(tensor, rows);
    const values = await tensor.data();
    const gathered = this.#allocate(tensor.dtype, [rows.length, ...tensor.shape.slice(1)]);
    copyRows(values, tensor.shape, rows, gathered.data as OrtData);
    return new OrtRuntimeTensor(gathered, this.#context.storage);
  }

  dispose(): void {
    this.#disposed = true;
    this.#pool.clear();
    for (const session of this.#downloads.values()) void session.then((one) => one.release());
    this.#downloads.clear();
    for (const session of this.#gathers.values()) void session.then((one) => one.dispose());
    this.#gathers.clear();
  }

  async #gatherOnGpu(tensor: EngineTensor, rows: readonly number[]): Promise<RuntimeTensor> {
    const { dtype, shape } = tensor;
    const key = `${dtype} ${shape.length}`;
    let session = this.#gathers.get(key);
    if (session === undefined) {
      session = this.createSession(gatherGraph(dtype, shape.length), { name: 'gatherRows' });
      session.catch(() => this.#gathers.delete(key));
      this.#gathers.set(key, session);
    }
    const [gathered] = await (await session).run([tensor, { shape: [rows.length], data: Int32Array.from(rows) }]);
    return gathered!;
  }

  async #load(model: Uint8Array, options: LoadModelOptions, outputs: 'cpu' | 'gpu-buffer'): Promise<OrtSession> {
    const { provider } = this;
    const executionProvider = provider === 'webgpu' ? webGpuOptions(model) : provider;
    const sessionOptions = { ...this.#sessionOptions(options), executionProviders: [executionProvider] };
    try {
      return await this.#ort.InferenceSession.create(
        model,
        outputs === 'cpu' ? sessionOptions : { ...sessionOptions, preferredOutputLocation: outputs },
      );
    } catch (cause) {
      throw loadFailure(options.name, cause);
    }
  }

  /**
   * The tensor's own `getData` works, but a process that called it is aborted when it ends ("terminate called after throwing an
   * instance of 'char const*'", onnxruntime-node 1.30, Linux), so a graph that gives its input back brings the values.
   */
  async #download(tensor: OrtTensor): Promise<OrtData> {
    const type = tensor.type as RuntimeTensor['dtype'];
    const key = `${type} ${tensor.dims.length}`;
    let session = this.#downloads.get(key);
    if (session === undefined) {
      const axes = tensor.dims.map((_, axis) => `axis${axis}`);
      session = this.#load(writeModel(copyGraph(type, axes)), { name: 'download' }, 'cpu');
      this.#downloads.set(key, session);
    }
    const { copy } = await (await session).run({ tensor }, { copy: null });
    return copy!.data as OrtData;
  }

  #sessionOptions(options: LoadModelOptions): Readonly<Record<string, unknown>> {
    const prepack = options.prepack ?? options.weightFolder === undefined;
    return {
      intraOpNumThreads: this.#options.threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: options.isOptimized || options.optimize === false ? 'disabled' : 'all',
      ...(options.optimizedModelFile === undefined ? {} : { optimizedModelFilePath: options.optimizedModelFile }),
      // What goes wrong is thrown; without this it is printed as well.
      logSeverityLevel: 4,
      extra: {
        session: {
          disable_prepacking: prepack ? '0' : '1',
          intra_op: { allow_spinning: this.#options.spinning ? '1' : '0' },
          ...(options.weightFolder === undefined ? {} : { model_external_initializers_file_folder_path: options.weightFolder }),
        },
      },
    };
  }

  #allocate(dtype: RuntimeTensor['dtype'], shape: readonly number[]): OrtTensor {
    const buffer = this.#pool.take(sizeOf(shape) * (dtype === 'bool' ? 1 : 4));
    return new this.#ort.Tensor(dtype, viewOf(dtype, buffer, shape), shape);
  }

  #recycle(tensor: OrtTensor): void {
    if (tensor.location === 'cpu' && !this.#disposed) this.#pool.give((tensor.data as OrtData).buffer as ArrayBuffer);
    tensor.dispose();
  }
}

function copyGraph(type: RuntimeTensor['dtype'], shape: readonly string[]): OnnxGraph {
  return {
    name: 'copy',
    nodes: [{ operator: 'Identity', domain: '', inputs: ['tensor'], outputs: ['copy'], attributes: {} }],
    initializers: [],
    inputs: [{ name: 'tensor', type, shape }],
    outputs: [{ name: 'copy', type, shape }],
  };
}

/** Runs a graph of one node: a provider that is named may still lack its libraries or its device. */
async function assertWorks(runtime: NodeRuntime, ort: NodeOrtModule): Promise<void> {
  try {
    const session = await runtime.createSession(PROBE, { name: 'createNodeRuntime' });
    const [result] = await session.run([{ shape: [1], data: Float32Array.of(1) }]);
    await result!.data();
    result!.dispose();
    await session.dispose();
  } catch (cause) {
    const others = ort
      .listSupportedBackends()
      .map(({ name, bundled }) => (bundled ? name : `${name} (if its libraries are installed)`));
    const error = cause instanceof Error ? ((cause.cause as Error | undefined) ?? cause).message : String(cause);
    // Without the place in ONNX Runtime's source that its assertions begin with.
    const detail = error
      .trim()
      .replace(/^\/.* was false\. /, '')
      .split('\n')[0]!;
    throw new UnsupportedBackendError(
      `createNodeRuntime: ${runtime.name} does not work on this machine: ${detail}. This build of ONNX Runtime ` +
        `has ${others.join(', ')}. ${CURES[runtime.provider] ?? 'Choose another provider.'}`,
      { cause },
    );
  }
}

const CURES: Readonly<Partial<Record<Provider, string>>> = {
  cuda: 'Install CUDA and the CUDA libraries of onnxruntime-node (its README says how), or choose another provider.',
  webgpu: 'It needs a Vulkan driver and libvulkan.so.1 on Linux (Debian: libvulkan1); or choose another provider.',
};

const PROBE: OnnxGraph = {
  name: 'probe',
  nodes: [{ operator: 'Neg', domain: '', inputs: ['x'], outputs: ['y'], attributes: {} }],
  initializers: [],
  inputs: [{ name: 'x', type: 'float32', shape: [1] }],
  outputs: [{ name: 'y', type: 'float32', shape: [1] }],
};
