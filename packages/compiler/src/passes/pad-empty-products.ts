import type { OnnxGraph, OnnxInitializer, OnnxNode } from '../onnx/graph.ts';
import { int64Constant, simpleNode } from '../onnx/parts.ts';

/** As many as kernels read at a time, so that factors whose length was a multiple of it keep their fast ones. */
const PADDING = 4;

/**
 * Gives products whose inner axis may be empty a few zeros more to sum up. Over an empty axis the sum is zero; ONNX Runtime 1.30 fails at it with
 * WebGPU: in browsers with an error ("Failed to execute 'createBindGroup' on 'GPUDevice'"), in Node the process ends.
 */
export function padEmptyProducts(graph: OnnxGraph): OnnxGraph {
  const constants = new Map<string, OnnxInitializer>();
  /** Zeros behind an axis. All axes have numbers: ONNX Runtime moves transpositions across a Pad and forgets about axes that are named. */
  const pad = (input: string, rank: number, axis: number, output: string): OnnxNode => {
    const name = `${PADDING} zeros behind axis ${axis} of ${rank}`;
    constants.set(
      name,
      int64Constant(
        name,
        Array.from({ length: 2 * rank }, (_, index) => (index === rank + axis ? PADDING : 0)),
      ),
    );
    return simpleNode('Pad', [input, name], output);
  };
  const nodes = graph.nodes.flatMap((node): OnnxNode[] => {
    if (node.operator !== 'MatMul' || node.product?.inner !== 0) return [node];
    const [left, right] = node.product.ranks;
    const [a, b] = node.inputs as [string, string];
    const padded = [`${node.outputs[0]}.left`, `${node.outputs[0]}.right`] as const;
    return [pad(a, left, left - 1, padded[0]), pad(b, right, right - 2, padded[1]), { ...node, inputs: padded }];
  });
  return { ...graph, nodes, initializers: [...graph.initializers, ...constants.values()] };
}
