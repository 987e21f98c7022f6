import type { TracedGraph } from '../trace/graph-builder.ts';

/**
 * Outputs called by where they stand in the function's result, `cache.0.key`, instead of by number: an exported model is
 * called by these names.
 *
 * @param paths - Of the outputs, in the graph's order.
 * @returns the graph, and the names in the same order: the paths, but for those that inputs have already.
 */
export function nameOutputs(graph: TracedGraph, paths: readonly string[]): { graph: TracedGraph; names: readonly string[] } {
  const taken = new Set([...graph.inputs, ...graph.weights, ...graph.constants].map(({ name }) => name));
  const names = paths.map((path) => {
    let name = path;
    while (taken.has(name)) name = `${name}.out`;
    taken.add(name);
    return name;
  });
  const renamed = new Map(graph.outputs.map(({ name }, index) => [name, names[index]!]));
  const rename = (name: string): string => renamed.get(name) ?? name;
  return {
    names,
    graph: {
      ...graph,
      nodes: graph.nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) })),
      outputs: graph.outputs.map((output) => ({ ...output, name: rename(output.name) })),
    },
  };
}
