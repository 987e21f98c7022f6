import type { OnnxInitializer, OnnxNode } from './graph.ts';

/** A node of ONNX's own operators with one result and no settings. */
export function simpleNode(operator: string, inputs: readonly string[], output: string): OnnxNode {
  return { operator, domain: '', inputs, outputs: [output], attributes: {} };
}

/** A constant list of whole numbers: sizes, axes. */
export function int64Constant(name: string, values: readonly number[]): OnnxInitializer {
  const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, type: 'int64', shape: [values.length], bytes };
}
