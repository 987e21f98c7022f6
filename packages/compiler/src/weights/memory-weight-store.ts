import type { RunOptions } from '@blip2/core';
import type { OnnxInitializer } from '../onnx/graph.ts';
import type { WeightRequest, WeightStore } from './weight-store.ts';
import { convertWeight } from './convert-weight.ts';

/** Weights in memory: read, and converted where need be, for each graph. For browsers, and for small functions. */
export class MemoryWeightStore implements WeightStore {
  async place(requests: readonly WeightRequest[], options: RunOptions = {}): Promise<OnnxInitializer[]> {
    const initializers: OnnxInitializer[] = [];
    for (const { names, weight, form } of requests) {
      const parts = await convertWeight(weight, form, options);
      parts.forEach(({ type, shape, bytes }, index) => initializers.push({ name: names[index]!, type, shape, bytes }));
    }
    return initializers;
  }
}
