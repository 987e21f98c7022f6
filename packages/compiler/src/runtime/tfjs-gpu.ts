import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';

/** The parts of tfjs's WebGPU backend that this package uses. Source: tfjs-backend-webgpu 4.22, `backend_webgpu.ts`. */
export interface TfjsGpuBackend {
  readonly device: GPUDevice;
  readonly tensorMap: { has(dataId: object): boolean; get(dataId: object): TfjsTensorData };
  /** Commands that were not submitted yet; private there. */
  readonly commandEncoder?: GPUCommandEncoder | null;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
}

interface TfjsTensorData {
  /** Absent while the values are only in JavaScript's memory. */
  resource?: unknown;
  /** Whether the buffer is somebody else's. */
  readonly external?: boolean;
}

/** tfjs's WebGPU backend, if it is the current one. */
export function currentGpuBackend(): TfjsGpuBackend | undefined {
  // Before a backend is chosen, tf.backend() would choose one.
  if (tf.getBackend() !== 'webgpu') return undefined;
  const backend = tf.backend() as unknown as Partial<TfjsGpuBackend>;
  const isKnown = backend.device !== undefined && backend.tensorMap !== undefined && backend.submitQueue !== undefined;
  return isKnown ? (backend as TfjsGpuBackend) : undefined;
}

/** The buffer of a float32 or int32 tensor; `undefined` for one that is not on this backend's GPU. */
export function bufferOf(backend: TfjsGpuBackend, { dataId, dtype, size }: Tensor): GPUBuffer | undefined {
  if ((dtype !== 'float32' && dtype !== 'int32') || size === 0 || !backend.tensorMap.has(dataId)) return undefined;
  const { resource } = backend.tensorMap.get(dataId);
  return resource instanceof GPUBuffer && (resource.usage & GPUBufferUsage.STORAGE) !== 0 ? resource : undefined;
}

/** Submits what tfjs has recorded so far, so that commands of others that are submitted later see the results. */
export function submitPending(backend: TfjsGpuBackend): void {
  if (backend.commandEncoder === null) return;
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/**
 * A tensor of tfjs over a buffer, without a copy.
 *
 * @param buffer - Of exactly the tensor's bytes; it must not change before `onRelease`.
 * @param onRelease - Called once, when tfjs does not need the buffer any more and has submitted all commands that use it.
 * @returns `undefined` when this version of tfjs would not say when that is.
 */
export function lendBuffer(
  backend: TfjsGpuBackend,
  buffer: GPUBuffer,
  { shape, dtype }: { readonly shape: readonly number[]; readonly dtype: 'float32' | 'int32' },
  onRelease: () => void,
): Tensor | undefined {
  const tensor = tf.tensor({ buffer, zeroCopy: true } as never, [...shape], dtype);
  const data = backend.tensorMap.get(tensor.dataId);
  if (data.external !== true || data.resource !== buffer) {
    tensor.dispose();
    return undefined;
  }
  // tfjs does not free a buffer of somebody else, it only forgets it: when the last tensor of these values is gone and the
  // commands are on their way. There is no event for it.
  let resource: unknown = buffer;
  Object.defineProperty(data, 'resource', {
    configurable: true,
    enumerable: true,
    get: () => resource,
    set(next: unknown) {
      const isReleased = resource === buffer && next !== buffer;
      resource = next;
      if (isReleased) onRelease();
    },
  });
  return tensor;
}
