import type { EngineInputs, EngineTensor, HostTensor } from '@blip2/core';
import { Tensor } from '@tensorflow/tfjs-core';
import { flattenTree, mapTree } from '../tree.ts';

/**
 * Inputs with their values in JavaScript's memory, so that they can be compared and used several times.
 *
 * @param inputs - Kept; the caller's.
 */
export async function readSamples<Inputs>(inputs: EngineInputs<Inputs>): Promise<EngineInputs<Inputs>> {
  const values: HostTensor[] = [];
  for (const { leaf } of flattenTree<Tensor | HostTensor | EngineTensor>(inputs)) values.push(await toHost(leaf));
  return mapTree(inputs, (_, index) => values[index]) as EngineInputs<Inputs>;
}

async function toHost(value: Tensor | HostTensor | EngineTensor): Promise<HostTensor> {
  const { shape } = value;
  if (!(value instanceof Tensor) && 'toTensor' in value) return { shape, data: (await value.data()).slice() };
  return value instanceof Tensor ? { shape, data: (await value.data()) as HostTensor['data'] } : value;
}
