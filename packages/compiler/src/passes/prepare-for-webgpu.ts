import type { OnnxGraph, OnnxInitializer, OnnxNode } from '../onnx/graph.ts';
import { int64Constant, simpleNode } from '../onnx/parts.ts';
import { padEmptyProducts } from './pad-empty-products.ts';

/** What names of nodes begin with that shall stay on the processor; ONNX Runtime wants every name once. */
const ON_PROCESSOR = 'on the processor: ';

/** The provider's options for a written model: the nodes that {@link prepareForWebGpu} keeps on the processor. */
export function webGpuOptions(model: Uint8Array): { readonly name: 'webgpu'; readonly forceCpuNodeNames?: readonly string[] } {
  const text = new TextDecoder('latin1').decode(model);
  const names = text.match(new RegExp(`${ON_PROCESSOR}\\d+\\.`, 'g'));
  return names === null ? { name: 'webgpu' } : { name: 'webgpu', forceCpuNodeNames: [...new Set(names)] };
}

/**
 * Rewrites what ONNX Runtime 1.30 cannot do with WebGPU, and names nodes that its kernels compute wrongly or not at all. What has no kernel there
 * is usually found by ONNX Runtime itself; docs/design/compiler.md lists both.
 */
export function prepareForWebGpu(graph: OnnxGraph): OnnxGraph {
  const { nodes, constants } = decomposeLogSoftmax(graph);
  const initializers = [...graph.initializers, ...constants];
  const named = keepOnProcessor(nodes, initializers);
  return padEmptyProducts({ ...graph, nodes: named, initializers });
}

/** `TensorProto.DataType` of float64. */
const FLOAT64 = 11;

function keepOnProcessor(nodes: readonly OnnxNode[], initializers: readonly OnnxInitializer[]): OnnxNode[] {
  const scalars = new Set(initializers.filter(({ shape }) => shape.length === 0).map(({ name }) => name));
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
  // Tables in 16 bits, of which rows are picked, and quotients by way of float64: not all GPUs have float16, none has the others, and ONNX
  // Runtime does not see that of casts ("Provider type for Cast node is not set").
  const halves = initializers.filter(({ type }) => type === 'float16' || type === 'bfloat16');
  const foreign = new Set(halves.map(({ name }) => name));
  return nodes.map((node, index) => {
    const isForeign = node.inputs.some((name) => foreign.has(name));
    const to = node.operator === 'Cast' ? node.attributes['to'] : undefined;
    if (to === FLOAT64 || (isForeign && to === undefined)) for (const name of node.outputs) foreign.add(name);
    return isForeign || to === FLOAT64 || isWrong(node) ? { ...node, name: `${ON_PROCESSOR}${index}.` } : node;
  });
}

const LAST_AXIS = 'the last axis';

/** log softmax(x) = x − max − log Σ exp(x − max): there is no kernel for it, and logits are large to bring to the processor. */
function decomposeLogSoftmax(graph: OnnxGraph): { nodes: readonly OnnxNode[]; constants: readonly OnnxInitializer[] } {
  let isThere = false;
  const nodes = graph.nodes.flatMap((node): OnnxNode[] => {
    if (node.operator !== 'LogSoftmax' || node.attributes['axis'] !== -1) return [node];
    isThere = true;
    const [x, result] = [node.inputs[0]!, node.outputs[0]!];
    const [max, shifted, powers, sum, log] = ['max', 'shifted', 'powers', 'sum', 'log'].map((part) => `${result}.${part}`);
    return [
      simpleNode('ReduceMax', [x, LAST_AXIS], max!),
      simpleNode('Sub', [x, max!], shifted!),
      simpleNode('Exp', [shifted!], powers!),
      simpleNode('ReduceSum', [powers!, LAST_AXIS], sum!),
      simpleNode('Log', [sum!], log!),
      simpleNode('Sub', [shifted!, log!], result),
    ];
  });
  return { nodes, constants: isThere ? [int64Constant(LAST_AXIS, [-1])] : [] };
}
