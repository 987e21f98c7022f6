import type { OnnxInitializer } from '../onnx/graph.ts';
import type { TracedGraph } from '../trace/graph-builder.ts';

/** Constants of more bytes are not compared; weights are references and not among them. */
const LARGEST_SHARED_BYTES = 4096;

/**
 * Equal constants become one, then equal operations: every reshape to the same sizes had its own copy of them. What is
 * computed twice from the same inputs is computed once.
 */
export function shareConstants(graph: TracedGraph): TracedGraph {
  const names = new Map<string, string>();
  const kept = new Map<string, string>();
  const constants = graph.constants.filter((constant) => isFirst(constant.name, keyOf(constant), kept, names));
  const nodes = graph.nodes.flatMap((node) => {
    const inputs = node.inputs.map((name) => names.get(name) ?? name);
    const isOutput = graph.outputs.some(({ name }) => node.outputs.includes(name));
    const key = JSON.stringify([node.operator, node.domain, inputs, node.attributes]);
    if (!isOutput && node.outputs.length === 1 && !isFirst(node.outputs[0]!, key, kept, names)) return [];
    return [{ ...node, inputs }];
  });
  return { ...graph, constants, nodes };
}

/** Whether nothing equal came before; otherwise the name stands for the first one from now on. */
function isFirst(name: string, key: string | undefined, kept: Map<string, string>, names: Map<string, string>): boolean {
  if (key === undefined) return true;
  const first = kept.get(key);
  if (first === undefined) {
    kept.set(key, name);
    return true;
  }
  names.set(name, first);
  return false;
}

function keyOf({ type, shape, bytes }: OnnxInitializer): string | undefined {
  if (bytes === undefined || bytes.length > LARGEST_SHARED_BYTES) return undefined;
  return `${type} ${shape.join()} ${String.fromCharCode(...bytes)}`;
}
