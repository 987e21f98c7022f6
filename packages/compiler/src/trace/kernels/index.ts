import * as tf from '@tensorflow/tfjs-core';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { TRACE_BACKEND, type TraceBackend } from '../trace-backend.ts';
import { ACTIVATION_KERNELS } from './activations.ts';
import { ARITHMETIC_KERNELS } from './arithmetic.ts';
import { COMPARISON_KERNELS } from './comparisons.ts';
import { CONVOLUTION_KERNELS } from './convolution.ts';
import { CREATION_KERNELS } from './creation.ts';
import { FUNCTION_KERNELS } from './functions.ts';
import { FUSED_KERNELS } from './fused.ts';
import { IMAGE_KERNELS } from './images.ts';
import { INDEXING_KERNELS } from './indexing.ts';
import type { TraceKernels } from './kernel.ts';
import { POOLING_KERNELS } from './pooling.ts';
import { PRODUCT_KERNELS } from './products.ts';
import { REDUCTION_KERNELS } from './reductions.ts';
import { SCATTER_KERNELS } from './scatter.ts';
import { SHAPE_KERNELS } from './shapes.ts';
import { SLICING_KERNELS } from './slicing.ts';

/** All kernels that can be compiled, by what they do. */
export const KERNEL_GROUPS: Readonly<Record<string, TraceKernels>> = {
  arithmetic: ARITHMETIC_KERNELS,
  comparisons: COMPARISON_KERNELS,
  functions: FUNCTION_KERNELS,
  activations: ACTIVATION_KERNELS,
  reductions: REDUCTION_KERNELS,
  shapes: SHAPE_KERNELS,
  slicing: SLICING_KERNELS,
  creation: CREATION_KERNELS,
  indexing: INDEXING_KERNELS,
  scatter: SCATTER_KERNELS,
  products: PRODUCT_KERNELS,
  convolution: CONVOLUTION_KERNELS,
  pooling: POOLING_KERNELS,
  images: IMAGE_KERNELS,
  fused: FUSED_KERNELS,
};

/** Names of the tfjs kernels that can be compiled, in alphabetical order. */
export const COMPILED_KERNELS: readonly string[] = Object.values(KERNEL_GROUPS)
  .flatMap((group) => Object.keys(group))
  .toSorted();

/** Registers every kernel for the tracing backend. */
export function registerTraceKernels(backend: TraceBackend): void {
  for (const group of Object.values(KERNEL_GROUPS)) {
    for (const [kernelName, trace] of Object.entries(group)) {
      tf.registerKernel({
        kernelName,
        backendName: TRACE_BACKEND,
        kernelFunc: ({ inputs: named, attrs }) => {
          const inputs = named as Record<string, TensorInfo>;
          const result = trace({ kernelName, inputs, attributes: attrs as never, backend, builder: backend.builder });
          // A kernel with nothing to do gives its input; tfjs would take it for the same tensor, and its gradients for one.
          const given = new Set(Object.values(inputs).map((input: TensorInfo | undefined) => input?.dataId));
          return Array.isArray(result) || !given.has(result.dataId) ? result : backend.alias(result);
        },
      });
    }
  }
}
