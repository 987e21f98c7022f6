import { ResourceError } from '@blip2/core';

/** Kernels of ONNX Runtime read buffers in steps of 16 bytes, and beyond the last value where a buffer has another size. */
const GRAIN = 16;

/** More buffers than this are not kept, however small they are. */
const MAX_BUFFERS = 1024;

/**
 * Makes GPU buffers, and keeps those that are not needed any more for others of exactly their size: tfjs reads all of a buffer that it is
 * given, so one that is passed to it must not be longer than its values.
 */
export class GpuBufferPool {
  readonly #device: GPUDevice;
  readonly #maxBytes: number;
  /** Longest unused first. */
  readonly #free: GPUBuffer[] = [];
  #freeBytes = 0;
  #usedBytes = 0;

  /** @param maxBytes - The most to keep; what is more is destroyed, what was unused longest first. */
  constructor(device: GPUDevice, maxBytes: number) {
    this.#device = device;
    this.#maxBytes = maxBytes;
  }

  /** Bytes of buffers that are kept. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Bytes of buffers that were taken and not given back. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * @returns a buffer for so many bytes, rounded up to {@link GRAIN}, with whatever is in it; the caller's until {@link give}.
   * @throws {ResourceError} when it is larger than the GPU allows.
   */
  take(bytes: number): GPUBuffer {
    const size = Math.max(GRAIN, GRAIN * Math.ceil(bytes / GRAIN));
    assertAllowed(this.#device, size, 'a tensor');
    this.#usedBytes += size;
    const index = this.#free.findLastIndex((one) => one.size === size);
    if (index === -1) {
      const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
      return this.#device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    }
    this.#freeBytes -= size;
    return this.#free.splice(index, 1)[0]!;
  }

  /** Takes a buffer of `take` back. Commands that use it must have been submitted. */
  give(buffer: GPUBuffer): void {
    this.#usedBytes -= buffer.size;
    this.#free.push(buffer);
    this.#freeBytes += buffer.size;
    while (this.#freeBytes > this.#maxBytes || this.#free.length > MAX_BUFFERS) this.#destroyOldest();
  }

  /** Destroys what is kept. */
  clear(): void {
    while (this.#free.length > 0) this.#destroyOldest();
  }

  #destroyOldest(): void {
    const oldest = this.#free.shift()!;
    this.#freeBytes -= oldest.size;
    oldest.destroy();
  }
}

/**
 * A buffer that is too large makes no exception when it is made, but commands that do nothing later.
 * @param what - For the message: `the weight 'head'`.
 * @throws {ResourceError} when a device has no buffers of this size.
 */
export function assertAllowed({ limits }: GPUDevice, bytes: number, what: string): void {
  const allowed = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  if (bytes <= allowed) return;
  throw new ResourceError(
    `WebGPU: ${what} has ${bytes} bytes, expected at most ${allowed}, which is what this GPU device allows. Use a smaller batch or a smaller ` +
      "number format (dtype: 'int8' or 'int4'), request the device with higher limits, or choose the provider 'wasm'.",
  );
}
