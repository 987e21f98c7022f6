import { type EngineTensor, withTensorScope } from '@blip2/core';
import type { Rank, Tensor } from '@tensorflow/tfjs-core';

/** Tensors of the current backend in place of an engine's, which are disposed, also when something fails. */
export async function takeTensors<R extends Rank>(outputs: readonly EngineTensor[]): Promise<Tensor<R>[]> {
  try {
    return await withTensorScope(async (scope) => {
      const tensors: Tensor<R>[] = [];
      for (const output of outputs) tensors.push(scope.own(await output.toTensor<R>()));
      return tensors.map((tensor) => scope.release(tensor));
    });
  } finally {
    disposeAll(outputs);
  }
}

/** Disposes what an engine gave and nobody wants. */
export function disposeAll(outputs: readonly EngineTensor[]): void {
  for (const output of outputs) output.dispose();
}
