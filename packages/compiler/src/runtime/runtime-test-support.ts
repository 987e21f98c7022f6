import type { OnnxGraph, OnnxNode, OnnxType, OnnxValue } from '../onnx/graph.ts';

/** A node with its defaults. */
export function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  more: Partial<OnnxNode> = {},
): OnnxNode {
  return { operator, domain: '', inputs, outputs, attributes: {}, ...more };
}

/** An input or output. */
export function value(name: string, shape: readonly (number | string)[], type: OnnxType = 'float32'): OnnxValue {
  return { name, type, shape };
}

/** A graph of nodes without weights. */
export function graphOf(
  inputs: readonly OnnxValue[],
  nodes: readonly OnnxNode[],
  outputs: readonly OnnxValue[],
  initializers: OnnxGraph['initializers'] = [],
): OnnxGraph {
  return { name: 'test', nodes, initializers, inputs, outputs };
}

/** `cache'` = cache with `row` behind it, and `sum` = a + b: one output grows, one does not. */
export const GROWING: OnnxGraph = graphOf(
  [value('cache', ['past', 4]), value('row', ['rows', 4])],
  [node('Concat', ['cache', 'row'], ['grown'], { attributes: { axis: 0 } }), node('Neg', ['row'], ['negative'])],
  [value('grown', ['all', 4]), value('negative', ['rows', 4])],
);
