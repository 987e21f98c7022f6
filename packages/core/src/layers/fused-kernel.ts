import * as tf from '@tensorflow/tfjs-core';
import type { NamedAttrMap, NamedTensorMap, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { tidy } from '../tensor-scope.ts';

/**
 * Kernel names of the fused operations. A backend that registers one of them computes that operation itself; on all
 * others it is a few tfjs operations. Inputs and attributes of each stand in docs/design/fused-operations.md.
 */
export const FUSED_KERNELS = [
  'FusedAttention',
  'FusedGelu',
  'FusedLayerNorm',
  'FusedLinear',
  'FusedQuickGelu',
  'FusedRmsNorm',
  'FusedSoftmaxCrossEntropy',
] as const;

/** The name of a fused operation's kernel. */
export type FusedKernel = (typeof FUSED_KERNELS)[number];

/**
 * An operation with a kernel name of its own: a differentiable function of named tensors and attributes.
 *
 * Gradients are asked for one by one, so that a frozen weight costs none. They are computed from inputs: nothing that
 * a kernel finds on its way needs to leave it.
 */
export interface FusedOperation<Inputs, Attributes> {
  readonly kernel: string;
  /** Names of the inputs; one that may be absent comes last. */
  readonly inputs: readonly (keyof Inputs & string)[];
  /** Names of the inputs that gradients need, none of which may be absent. wasm copies what is saved. @default all there are */
  readonly saved?: readonly (keyof Inputs & string)[];
  /** The operation in tfjs operations, for backends without the kernel. Runs in `tf.tidy`; its gradient is never asked for. */
  readonly compute: (inputs: Inputs, attributes: Attributes) => Tensor;
  /**
   * How the gradient of each input is computed from that of the result and the saved inputs, in tfjs operations. Each one
   * runs in `tf.tidy`, if it is wanted.
   */
  readonly gradients: (dy: Tensor, saved: Inputs, attributes: Attributes) => { readonly [Name in keyof Inputs]?: () => Tensor };
}

/**
 * Runs a fused operation: by the current backend's kernel if it has one, or by its decomposition.
 *
 * The decomposition is registered as the backend's kernel when it is first needed. So both ways are one entry on the
 * gradient tape with one gradient, what happens inside is not recorded, and nothing is saved when no gradient is taken.
 * (`tf.customGrad` would do as well, but it computes the gradients of all inputs, frozen weights included.)
 *
 * @param inputs - Kept; the caller's.
 * @returns a new tensor, the caller's.
 */
export function runFused<Inputs extends object, Attributes, Output extends Tensor>(
  operation: FusedOperation<Inputs, Attributes>,
  inputs: Inputs,
  attributes: Attributes,
): Output {
  register(operation, tf.getBackend());
  const present = Object.fromEntries(
    operation.inputs.flatMap((name) => (inputs[name] === undefined ? [] : [[name, inputs[name] as Tensor]])),
  );
  // tfjs saves a fixed list of inputs for the gradient, which cannot have an optional one, or all there are, if they are
  // an array; properties of an array will do.
  const named = operation.saved ? present : (Object.assign([], present) as unknown as NamedTensorMap);
  return tf.engine().runKernel(operation.kernel, named, attributes as NamedAttrMap);
}

function register<Inputs, Attributes>(operation: FusedOperation<Inputs, Attributes>, backendName: string): void {
  const { kernel: kernelName, inputs: names, saved: savedNames, compute, gradients } = operation;
  // tfjs warns when a name is registered twice.
  if (tf.getKernel(kernelName, backendName) === undefined) {
    const kernelFunc: tf.KernelFunc = ({ inputs, attrs }): TensorInfo =>
      tidy(() => compute(inputs as unknown as Inputs, attrs as Attributes));
    tf.registerKernel({ kernelName, backendName, kernelFunc });
  }
  if (tf.getGradient(kernelName) === undefined) {
    const gradFunc: tf.GradFunc = (dy, tensors, attrs) => {
      const saved = Object.fromEntries(tensors.map((tensor, index) => [(savedNames ?? names)[index]!, tensor]));
      return gradients(dy as Tensor, saved as Inputs, attrs as Attributes) as ReturnType<tf.GradFunc>;
    };
    const whatToSave = savedNames ? { inputsToSave: [...savedNames] } : { saveAllInputs: true };
    tf.registerGradient({ kernelName, ...whatToSave, gradFunc });
  }
}
