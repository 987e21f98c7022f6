import type { Tensor } from '@tensorflow/tfjs-core';
import { type FusedOperation, runFused } from './fused-kernel.ts';

/**
 * A tensor that gradients do not flow through, whatever it is computed from: tfjs has no `stop_gradient`.
 *
 * @param compute - Runs at once, in `tf.tidy`. What it reads is a constant to whoever differentiates.
 * @returns a new tensor, the caller's.
 *
 * @example
 * const target = detached(() => tf.softmax(logits)); // the gradient of logits does not see this use
 */
export function detached<X extends Tensor>(compute: () => X): X {
  return runFused<object, Computation, X>(DETACHED, {}, { compute });
}

interface Computation {
  readonly compute: () => Tensor;
}

/** An operation without inputs stands alone on the tape, and nothing inside an operation is recorded. */
const DETACHED: FusedOperation<object, Computation> = {
  kernel: 'Detached',
  inputs: [],
  compute: (_, { compute }) => compute(),
  gradients: () => ({}),
};
