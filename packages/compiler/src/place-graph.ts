import type { RunOptions } from '@blip2/core';
import type { OnnxGraph } from './onnx/graph.ts';
import { placeWeights, type PlaceWeightsOptions, type QuantizationPolicy } from './passes/place-weights.ts';
import type { SessionOptions } from './runtime/runtime.ts';
import type { TracedGraph } from './trace/graph-builder.ts';
import type { WeightStore } from './weights/weight-store.ts';

/** A graph with its weights in place, ready for a runtime. */
export interface ReadyGraph {
  readonly graph: OnnxGraph;
  /** How it is loaded. */
  readonly settings: SessionOptions;
  /** Gives the weights back, when the graph is not used any more. */
  release(): void;
}

/** Brings the weights of a traced graph into the forms that a policy wants. */
export async function placeGraph(
  weights: WeightStore,
  traced: TracedGraph,
  policy: QuantizationPolicy,
  options: RunOptions & PlaceWeightsOptions & { readonly name: string },
): Promise<ReadyGraph> {
  const { name, abortSignal } = options;
  const { nodes, constants, inputs, outputs, requests } = placeWeights(traced, policy, options);
  const initializers = await weights.place(requests, options);
  // Products of blocks are fast only with their codes rearranged; what is mapped otherwise stays where it is.
  const prepack = nodes.some(({ operator }) => operator === 'MatMulNBits') ? true : undefined;
  return {
    graph: { name, nodes, initializers: [...constants, ...initializers], inputs, outputs },
    settings: { name, prepack, abortSignal },
    release: () => weights.release?.(requests),
  };
}
