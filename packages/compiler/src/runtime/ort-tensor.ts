import { DisposedError, sizeOf } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, ShapeMap, Tensor } from '@tensorflow/tfjs-core';
import type { OrtData, OrtTensor } from './ort-api.ts';
import type { RuntimeTensor } from './runtime.ts';

/** What becomes of a tensor's storage. */
export interface TensorStorage {
  /** Brings values that are not on the processor there, and leaves the tensor where it is. */
  download(tensor: OrtTensor): Promise<OrtData>;
  /** Called once, when nobody uses the tensor any more. */
  recycle(tensor: OrtTensor): void;
  /** The values as a tensor of the current tfjs backend that outlives this one, where that takes no copy through JavaScript. */
  toTensor?(tensor: OrtTensor): Tensor | undefined;
  /** A tensor of tfjs as one of ONNX Runtime that outlives it, where that takes no copy through JavaScript. */
  borrow?(tensor: Tensor): OrtTensor | undefined;
}

/**
 * A value of ONNX Runtime. Its storage is given back when it is disposed and no run uses it any more:
 * a caller may dispose an input right after it asked for the run.
 */
export class OrtRuntimeTensor implements RuntimeTensor {
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32' | 'bool';
  readonly #storage: TensorStorage;
  #value: OrtTensor;
  #downloaded: Promise<OrtData> | undefined;
  #users = 0;
  #isDisposed = false;

  /** @param value - Float32, int32 or bool; the tensor owns it and its memory. */
  constructor(value: OrtTensor, storage: TensorStorage) {
    this.shape = [...value.dims];
    this.dtype = value.type as 'float32' | 'int32' | 'bool';
    this.#value = value;
    this.#storage = storage;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  async data(): Promise<OrtData> {
    const value = this.hold();
    try {
      if (value.location === 'cpu') return value.data as OrtData;
      this.#downloaded ??= this.#storage.download(value);
      return await this.#downloaded;
    } finally {
      this.release();
    }
  }

  async toTensor<R extends Rank = Rank>(): Promise<Tensor<R>> {
    const value = this.hold();
    try {
      const passed = this.#storage.toTensor?.(value);
      if (passed !== undefined) return passed as Tensor<R>;
    } finally {
      this.release();
    }
    // A copy: backends keep the array that they are given, and this one's memory is used again.
    const values = (await this.data()).slice();
    return tf.tensor(values, [...this.shape] as ShapeMap[R], this.dtype);
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#freeIfUnused();
  }

  /**
   * Keeps the storage until {@link release}.
   * @throws {DisposedError} after `dispose()`.
   */
  hold(): OrtTensor {
    if (this.#isDisposed) throw new DisposedError(`A ${this.dtype} tensor of shape [${this.shape.join(', ')}]`);
    this.#users++;
    return this.#value;
  }

  release(): void {
    this.#users--;
    this.#freeIfUnused();
  }

  /** The value for a run that was promised it by {@link hold}, also when the tensor was disposed meanwhile. */
  get held(): OrtTensor {
    return this.#value;
  }

  /** Values that a run wrote in the place of the present ones. Only while held; of the same shape and type. */
  replace(value: OrtTensor): void {
    this.#downloaded = undefined;
    if (value === this.#value || sharesMemory(value, this.#value)) return;
    this.#storage.recycle(this.#value);
    this.#value = value;
  }

  #freeIfUnused(): void {
    if (!this.#isDisposed || this.#users > 0) return;
    this.#storage.recycle(this.#value);
  }
}

/** A typed array of a tensor's type at the beginning of a buffer. */
export function viewOf(dtype: 'float32' | 'int32' | 'bool', buffer: ArrayBuffer, shape: readonly number[]): OrtData {
  const size = sizeOf(shape);
  if (dtype === 'float32') return new Float32Array(buffer, 0, size);
  return dtype === 'int32' ? new Int32Array(buffer, 0, size) : new Uint8Array(buffer, 0, size);
}

/** The type of host values. */
export function dtypeOf(data: OrtData): 'float32' | 'int32' | 'bool' {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Int32Array ? 'int32' : 'bool';
}

function sharesMemory(a: OrtTensor, b: OrtTensor): boolean {
  return a.location === 'cpu' && b.location === 'cpu' && (a.data as OrtData).buffer === (b.data as OrtData).buffer;
}
