import { evaluateAxis, parseAxis } from '@blip2/core';
import * as tf from '@tensorflow/tfjs-core';
import { trace } from '../trace.ts';
import { TRACE_BACKEND, type TraceBackend } from '../trace-backend.ts';
import { namesOf } from './cases/case-inputs.ts';
import { KERNEL_CASES } from './cases/index.ts';
import type { KernelCase } from './cases/kernel-case.ts';
import { COMPILED_KERNELS } from './index.ts';
import { withGradients } from './kernel-test-support.ts';

/**
 * The ONNX operators that each kernel becomes in the first of its cases, in order and each once. Runs nothing.
 *
 * @throws {Error} when a kernel's cases do not reach it.
 */
export function operatorsOfKernels(): ReadonlyMap<string, readonly string[]> {
  const watched = watchKernels();
  const kernels = Object.values(KERNEL_CASES).flatMap((group) => Object.entries(group));
  return new Map(kernels.map(([kernel, variants]) => [kernel, operatorsIn(kernel, variants, watched)]));
}

type Watched = Map<string, readonly string[]>;

function operatorsIn(kernel: string, variants: readonly KernelCase[], watched: Watched): readonly string[] {
  for (const { inputs, compute, differentiable } of variants) {
    const sizes = new Map(namesOf(inputs).map((name, index) => [name, 3 + index]));
    const shapes = Object.entries(inputs).map(([name, { axes, dtype }]) => {
      return [name, { shape: axes.map((axis) => evaluateAxis(parseAxis(axis), sizes)), dtype }] as const;
    });
    for (const traced of differentiable ? [compute, withGradients(compute, differentiable)] : [compute]) {
      watched.clear();
      trace((_, tensors) => traced(tensors as never), {}, Object.fromEntries(shapes));
      const operators = watched.get(kernel);
      if (operators !== undefined) return operators;
    }
  }
  throw new Error(`kernel cases: those of '${kernel}' do not call it. Correct them.`);
}

/** Notes the operators that each kernel adds when it is first traced, until the notes are cleared. */
function watchKernels(): Watched {
  const watched: Watched = new Map();
  trace(() => tf.scalar(0), {}, {}); // registers the kernels
  for (const kernelName of COMPILED_KERNELS) {
    const config = tf.getKernel(kernelName, TRACE_BACKEND);
    tf.unregisterKernel(kernelName, TRACE_BACKEND);
    const kernelFunc: tf.KernelFunc = (call) => {
      const { builder } = call.backend as TraceBackend;
      const before = builder.nodes.length;
      const result = config.kernelFunc(call);
      const added = builder.nodes.slice(before).map(({ operator }) => operator);
      if (!watched.has(kernelName)) watched.set(kernelName, [...new Set(added)]);
      return result;
    };
    tf.registerKernel({ ...config, kernelFunc });
  }
  return watched;
}
