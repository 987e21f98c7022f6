import type { OnnxGraph, OnnxNode } from '../onnx/graph.ts';
import { padEmptyProducts } from './pad-empty-products.ts';

/** What names of nodes begin with that shall stay on the processor; ONNX Runtime wants every name once. */
const ON_PROCESSOR = 'on the processor: ';

/** The provider's options for a written model: the nodes that {@link prepareForWebGpu} keeps on the processor. */
export function webGpuOptions(model: Uint8Array): { readonly name: 'webgpu'; readonly forceCpuNodeNames?: readonly string[] } {
  const text = new TextDecoder('latin1').decode(model);
  const names = text.match(new RegExp(`${ON_PROCESSOR}\\d+\\.`, 'g'));
  return names === null ? { name: 'webgpu' } : { name: 'webgpu', forceCpuNodeNames: [...new Set(names)] };
}

/** Rewrites what ONNX Runtime 1.30 cannot do with WebGPU, and names nodes that its kernels compute wrongly or not at all. */
export function prepareForWebGpu(graph: OnnxGraph): OnnxGraph {
  const scalars = new Set(graph.initializers.filter(({ shape }) => shape.length === 0).map(({ name }) => name));
  const isWrong = ({ operator, attributes, inputs, outputs }: OnnxNode): boolean => {
    switch (operator) {
      case 'ConvTranspose': // wrong numbers in groups, an error in three dimensions
        return (attributes['group'] ?? 1) !== 1 || ((attributes['strides'] ?? []) as readonly number[]).length > 2;
      case 'MaxPool': // "The Indices output is not supported yet"
        return outputs.length > 1;
      case 'Pow': // an invalid shader where both are broadcast
        return !scalars.has(inputs[1]!);
      default:
        return false;
    }
  };
  const nodes = graph.nodes.map((node, index) => (isWrong(node) ? { ...node, name: `${ON_PROCESSOR}${index}.` } : node));
  return padEmptyProducts({ ...graph, nodes });
}
