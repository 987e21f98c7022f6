import { UnsupportedBackendError } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { currentGpuBackend } from './tfjs-gpu.ts';

/** What kernels of ONNX Runtime use where a GPU has it. Source: onnxruntime 1.30, `core/providers/webgpu/webgpu_context.cc`. */
const FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups', 'timestamp-query'];

/** Limits that are asked for as high as the GPU has them: the same source, and tfjs-backend-webgpu 4.22, `base.ts`. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

/**
 * Asks for a GPU with all that ONNX Runtime and tfjs can use. tfjs asks for less, so an application that wants the fastest kernels of both
 * makes the device first and gives it to both.
 *
 * @returns a device, the caller's to destroy.
 * @throws {UnsupportedBackendError} when the browser has no WebGPU, or no adapter.
 *
 * @example
 * const device = await requestGpuDevice();
 * tf.removeBackend('webgpu');
 * tf.registerBackend('webgpu', () => new WebGPUBackend(device, device.adapterInfo), 3);
 */
export async function requestGpuDevice(): Promise<GPUDevice> {
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  const adapter = await gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === undefined || adapter === null) {
    const problem =
      gpu === undefined ? 'this browser, or this insecure page, has no WebGPU' : 'this browser has no WebGPU adapter';
    throw new UnsupportedBackendError(
      `requestGpuDevice: ${problem}, expected a GPU. Use another browser or serve the page over HTTPS, or choose the provider 'wasm'.`,
    );
  }
  return adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
}

/** The device of tfjs where tfjs computes with WebGPU, else a new one. @throws {UnsupportedBackendError} when there is none. */
export async function findGpuDevice(): Promise<GPUDevice> {
  // The backend of the highest priority is chosen when it is first needed, which may be now.
  if (!tf.getBackend() && tf.findBackendFactory('webgpu') !== null) await tf.ready().catch(() => undefined);
  return currentGpuBackend()?.device ?? (await requestGpuDevice());
}
