import type { OnnxGraph, OnnxInitializer, OnnxNode } from '../onnx/graph.ts';

/** As many as kernels read at a time, so that factors whose length was a multiple of it keep their fast ones. */
const PADDING = 4;

const PADS = 'padding of products';
const LAST_AXIS = 'last axis';
const AXIS_BEFORE = 'axis before the last';

/**
 * Gives products whose inner axis may be empty a few zeros more to sum up. Over an empty axis the sum is zero; ONNX Runtime 1.30 fails at it with
 * WebGPU ("Failed to execute 'createBindGroup' on 'GPUDevice'").
 */
export function padEmptyProducts(graph: OnnxGraph): OnnxGraph {
  let isPadded = false;
  const nodes = graph.nodes.flatMap((node): OnnxNode[] => {
    const [result] = node.outputs as [string];
    if (node.operator !== 'MatMul' || node.innerSize !== 0) return [node];
    isPadded = true;
    const factors = [`${result}.left`, `${result}.right`] as const;
    return [
      pad(node.inputs[0]!, LAST_AXIS, factors[0]),
      pad(node.inputs[1]!, AXIS_BEFORE, factors[1]),
      { ...node, inputs: factors },
    ];
  });
  if (!isPadded) return graph;
  const constants = [int64(PADS, 0, PADDING), int64(LAST_AXIS, -1), int64(AXIS_BEFORE, -2)];
  return { ...graph, nodes, initializers: [...graph.initializers, ...constants] };
}

function pad(input: string, axis: string, output: string): OnnxNode {
  return { operator: 'Pad', domain: '', inputs: [input, PADS, '', axis], outputs: [output], attributes: {} };
}

function int64(name: string, ...values: number[]): OnnxInitializer {
  const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, type: 'int64', shape: [values.length], bytes };
}
