import { type HostTensor, sizeOf } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { GpuBufferPool } from './gpu-buffer-pool.ts';
import type { OrtData, OrtGpuTensor, OrtTensor, OrtWebModule } from './ort-api.ts';
import { dtypeOf, type TensorStorage } from './ort-tensor.ts';
import { bufferOf, currentGpuBackend, lendBuffer, submitPending } from './tfjs-gpu.ts';

/** A buffer behind tensors of ONNX Runtime and of tfjs. */
interface SharedBuffer {
  readonly buffer: GPUBuffer;
  users: number;
  /** Called when nobody uses it any more. */
  free(): void;
}

/**
 * Tensors in a GPU's memory. Each has a buffer of this class's pool, or borrows one from tfjs; ONNX Runtime reads and writes it and
 * never owns it. Float32 and int32 values are on the GPU; booleans, which have other forms in tfjs and ONNX, and tensors without
 * values stay in JavaScript's memory.
 */
export class GpuMemory implements TensorStorage {
  readonly #ort: OrtWebModule;
  readonly #device: GPUDevice;
  readonly #pool: GpuBufferPool;
  readonly #buffers: WeakMap<OrtTensor, SharedBuffer> = new WeakMap();

  /** @param device - Stays the caller's. @param maxPoolBytes - The most to keep for tensors to come. */
  constructor(ort: OrtWebModule, device: GPUDevice, maxPoolBytes: number) {
    this.#ort = ort;
    this.#device = device;
    this.#pool = new GpuBufferPool(device, maxPoolBytes);
  }

  /** Bytes on the GPU that tensors use, and that are kept for others. Those of tfjs and of graphs are not counted. */
  get bytes(): { readonly used: number; readonly free: number } {
    return { used: this.#pool.usedBytes, free: this.#pool.freeBytes };
  }

  /** @returns `undefined` for a tensor that is not on the GPU. */
  allocate(dtype: 'float32' | 'int32' | 'bool', shape: readonly number[]): OrtTensor | undefined {
    if (dtype === 'bool' || sizeOf(shape) === 0) return undefined;
    const buffer = this.#pool.take(4 * sizeOf(shape));
    return this.#tensor({ buffer, users: 0, free: () => this.#pool.give(buffer) }, dtype, shape);
  }

  /** @param values - Copied. */
  upload({ shape, data }: HostTensor): OrtTensor {
    const dtype = dtypeOf(data);
    const tensor = this.allocate(dtype, shape);
    if (tensor === undefined) return new this.#ort.Tensor(dtype, data.slice(), shape);
    this.#device.queue.writeBuffer(this.#bufferOf(tensor)!, 0, data as OrtData & ArrayBufferView<ArrayBuffer>);
    return tensor;
  }

  async download(tensor: OrtTensor): Promise<OrtData> {
    const bytes = 4 * sizeOf(tensor.dims);
    const staging = this.#device.createBuffer({ size: bytes, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
    try {
      this.#copy(this.#bufferOf(tensor)!, staging, [{ from: 0, to: 0, bytes }]);
      await staging.mapAsync(GPUMapMode.READ);
      const values = staging.getMappedRange().slice(0);
      return tensor.type === 'float32' ? new Float32Array(values) : new Int32Array(values);
    } finally {
      staging.destroy();
    }
  }

  recycle(tensor: OrtTensor): void {
    this.#release(this.#buffers.get(tensor));
    tensor.dispose();
  }

  /** Copies a result of ONNX Runtime into a buffer of this memory, because its own must not outlive the session. */
  adopt(result: OrtTensor): OrtTensor {
    if (result.location !== 'gpu-buffer') return result;
    const tensor = this.allocate(result.type as 'float32' | 'int32', result.dims)!;
    this.#copy((result as OrtGpuTensor).gpuBuffer, this.#bufferOf(tensor)!, [{ from: 0, to: 0, bytes: 4 * sizeOf(result.dims) }]);
    result.dispose();
    return tensor;
  }

  /** A tensor of tfjs over the same buffer, where tfjs computes on the same device; over a copy of it where its size is not that of the values. */
  toTensor(tensor: OrtTensor): Tensor | undefined {
    const backend = currentGpuBackend();
    const shared = this.#buffers.get(tensor);
    if (shared === undefined || backend?.device !== this.#device) return undefined;
    const described = { shape: tensor.dims, dtype: tensor.type as 'float32' | 'int32' };
    const bytes = 4 * sizeOf(tensor.dims);
    if (shared.buffer.size === bytes) {
      shared.users++;
      const lent = lendBuffer(backend, shared.buffer, described, () => this.#release(shared));
      if (lent === undefined) this.#release(shared);
      return lent;
    }
    const exact = this.#device.createBuffer({ size: bytes, usage: shared.buffer.usage });
    this.#copy(shared.buffer, exact, [{ from: 0, to: 0, bytes }]);
    const lent = lendBuffer(backend, exact, described, () => exact.destroy());
    if (lent === undefined) exact.destroy();
    return lent;
  }

  /**
   * The buffer of a tfjs tensor on the same device as a tensor of ONNX Runtime; a copy of it where it is not a multiple of 16 bytes. tfjs
   * keeps the values as long.
   */
  borrow(tensor: Tensor): OrtTensor | undefined {
    const backend = currentGpuBackend();
    if (backend?.device !== this.#device) return undefined;
    const buffer = bufferOf(backend, tensor);
    if (buffer === undefined) return undefined;
    submitPending(backend);
    const dtype = tensor.dtype as 'float32' | 'int32';
    if (buffer.size % 16 !== 0) {
      const copy = this.allocate(dtype, tensor.shape)!;
      this.#copy(buffer, this.#bufferOf(copy)!, [{ from: 0, to: 0, bytes: 4 * tensor.size }]);
      return copy;
    }
    const kept = tf.keep(tf.clone(tensor));
    return this.#tensor({ buffer, users: 0, free: () => kept.dispose() }, dtype, tensor.shape);
  }

  /** @param rows - Of the tensor. @returns `undefined` for a tensor that is not on the GPU. */
  gatherRows(tensor: OrtTensor, rows: readonly number[]): OrtTensor | undefined {
    const buffer = this.#bufferOf(tensor);
    if (buffer === undefined) return undefined;
    const [, ...inner] = tensor.dims;
    const gathered = this.allocate(tensor.type as 'float32' | 'int32', [rows.length, ...inner]);
    if (gathered === undefined) return undefined;
    const bytes = 4 * sizeOf(inner);
    const parts = rows.map((row, index) => ({ from: row * bytes, to: index * bytes, bytes }));
    this.#copy(buffer, this.#bufferOf(gathered)!, parts);
    return gathered;
  }

  /** Destroys buffers that are kept for tensors to come. */
  clear(): void {
    this.#pool.clear();
  }

  #tensor(shared: SharedBuffer, dataType: 'float32' | 'int32', dims: readonly number[]): OrtTensor {
    const tensor = this.#ort.Tensor.fromGpuBuffer(shared.buffer, { dataType, dims });
    shared.users++;
    this.#buffers.set(tensor, shared);
    return tensor;
  }

  #bufferOf(tensor: OrtTensor): GPUBuffer | undefined {
    return this.#buffers.get(tensor)?.buffer;
  }

  #release(shared: SharedBuffer | undefined): void {
    if (shared !== undefined && --shared.users === 0) shared.free();
  }

  #copy(
    source: GPUBuffer,
    target: GPUBuffer,
    parts: readonly { readonly from: number; readonly to: number; readonly bytes: number }[],
  ): void {
    const commands = this.#device.createCommandEncoder();
    for (const { from, to, bytes } of parts) commands.copyBufferToBuffer(source, from, target, to, bytes);
    this.#device.queue.submit([commands.finish()]);
  }
}
