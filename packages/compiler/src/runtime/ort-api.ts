/**
 * The parts of `onnxruntime-node` and `onnxruntime-web` that this package uses, so that it needs neither to be compiled.
 * Source: onnxruntime-common 1.30, `inference-session.ts` and `tensor.ts`.
 */

/** Typed arrays of the types that cross the boundary. */
export type OrtData = Float32Array | Int32Array | Uint8Array;

export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  /** Where the values are: `cpu`, `gpu-buffer`, …, or `none` after `dispose`. */
  readonly location: string;
  /** Throws unless the values are on the processor. */
  readonly data: unknown;
  /** Brings the values to the processor, and with `releaseData` frees them where they were. */
  getData(releaseData?: boolean): Promise<unknown>;
  dispose(): void;
}

/** `shape` has names, possibly empty ones, for axes of any size. */
export type OrtValueMetadata =
  | { readonly name: string; readonly isTensor: false }
  | { readonly name: string; readonly isTensor: true; readonly type: string; readonly shape: readonly (number | string)[] };

export interface OrtSession {
  readonly inputMetadata: readonly OrtValueMetadata[];
  readonly outputMetadata: readonly OrtValueMetadata[];
  /** A tensor among `fetches` is written in place; for `null` one is made. */
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches: Readonly<Record<string, OrtTensor | null>>,
    options?: { readonly logSeverityLevel: 0 | 1 | 2 | 3 | 4 },
  ): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** A tensor on the GPU; onnxruntime-web only. */
export interface OrtGpuTensor extends OrtTensor {
  readonly gpuBuffer: GPUBuffer;
}

export interface OrtModule {
  readonly Tensor: new (type: 'float32' | 'int32' | 'bool', data: OrtData, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: string | Uint8Array, options: Readonly<Record<string, unknown>>): Promise<OrtSession>;
  };
  readonly env: { readonly versions: { readonly common: string; readonly node?: string; readonly web?: string } };
}

/** `onnxruntime-web`. Its settings belong to the page: ONNX Runtime reads them when its first session is made. */
export interface OrtWebModule extends OrtModule {
  readonly Tensor: OrtModule['Tensor'] & {
    /** The buffer stays the caller's. Kernels read it in steps of 16 bytes, so its size has to be a multiple of that. */
    fromGpuBuffer(
      buffer: GPUBuffer,
      options: { readonly dataType: 'float32' | 'int32'; readonly dims: readonly number[] },
    ): OrtGpuTensor;
  };
  readonly env: OrtModule['env'] & {
    readonly wasm: { numThreads?: number; wasmPaths?: string | { readonly mjs?: string | URL; readonly wasm?: string | URL } };
  };
}
