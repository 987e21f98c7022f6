import type { Tensor } from '@tensorflow/tfjs-core';

/** Numbers of a tensor that left the page. */
export interface PlainTensor {
  readonly shape: number[];
  readonly data: number[];
}

export async function plain(tensor: Tensor): Promise<PlainTensor> {
  return { shape: tensor.shape, data: [...(await tensor.data())] }; // WebGPU has no synchronous reads
}
