import type { OnnxNode } from '../onnx/graph.ts';
import type { TracedGraph } from '../trace/graph-builder.ts';

/** Leaves out operations, constants and weights that no output depends on. Inputs stay: they are the function's signature. */
export function removeUnused(graph: TracedGraph): TracedGraph {
  const used = new Set(graph.outputs.map(({ name }) => name));
  const nodes: OnnxNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((name) => used.has(name))) continue;
    nodes.push(node);
    for (const name of node.inputs) used.add(name);
  }
  return {
    ...graph,
    nodes: nodes.toReversed(),
    constants: graph.constants.filter(({ name }) => used.has(name)),
    weights: graph.weights.filter(({ name }) => used.has(name)),
  };
}
