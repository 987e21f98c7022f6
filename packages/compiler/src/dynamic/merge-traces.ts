import { type AxisExpression, axisNames, InputError } from '@blip2/core';
import type { OnnxInitializer, OnnxNode, OnnxValue } from '../onnx/graph.ts';
import type { TracedGraph } from '../trace/graph-builder.ts';
import { SizeArithmetic } from './size-arithmetic.ts';
import { type Assignment, axisText, SizeSolver } from './solve-sizes.ts';

/** A graph for inputs of any size, and how the sizes of its outputs follow from them. */
export interface MergedGraph {
  readonly graph: TracedGraph;
  /** For each output, its axes in terms of the named axes. */
  readonly outputAxes: readonly (readonly AxisExpression[])[];
}

/** An input as it was declared. */
export interface DeclaredInput {
  readonly name: string;
  readonly axes: readonly AxisExpression[];
}

/** Constants of more elements are data of the function, not sizes. */
const LARGEST_SIZE_CONSTANT = 16;

/**
 * Makes one graph of traces of different sizes. They must agree in everything but numbers that follow from the sizes;
 * each of those becomes arithmetic on the sizes of the inputs.
 *
 * @param traces - Of one function, one for each assignment.
 * @throws {InputError} when the function did something else for other sizes, or a number cannot be explained.
 */
export function mergeTraces(
  traces: readonly TracedGraph[],
  assignments: readonly Assignment[],
  inputs: readonly DeclaredInput[],
): MergedGraph {
  const first = traces[0]!;
  const solver = new SizeSolver(
    assignments,
    inputs.flatMap(({ axes }) => axes),
  );
  for (const other of traces.slice(1)) assertSameStructure(first, other);
  const arithmetic = new SizeArithmetic(inputs);
  const replaced = new Map<string, string>();
  const constants = first.constants.filter((constant, index) => {
    const versions = traces.map((trace) => trace.constants[index]!);
    if (isSame(versions)) return true;
    replaced.set(constant.name, symbolic(versions, solver, arithmetic, consumerOf(first, constant.name)));
    return false;
  });
  const nodes = first.nodes.map((node, index): OnnxNode => {
    const renamed = { ...node, inputs: node.inputs.map((name) => replaced.get(name) ?? name) };
    if (node.product === undefined) return renamed;
    const versions = traces.map((trace) => trace.nodes[index]!);
    return { ...renamed, product: { ...node.product, inner: smallestInner(versions, solver) } };
  });
  const outputAxes = first.outputs.map((output, index) =>
    axesOf(
      traces.map((trace) => trace.outputs[index]!),
      output,
      solver,
    ),
  );
  return {
    graph: {
      ...first,
      nodes: [...arithmetic.nodes, ...nodes],
      constants: [...arithmetic.constants, ...constants],
      inputs: first.inputs.map((input, index) => ({ ...input, shape: inputs[index]!.axes.map(symbolicAxis) })),
      outputs: first.outputs.map((output, index) => ({ ...output, shape: outputAxes[index]!.map(symbolicAxis) })),
    },
    outputAxes,
  };
}

/** What is left when all named axes are empty; 0 when nobody knows. */
function smallestInner(versions: readonly OnnxNode[], solver: SizeSolver): number {
  const solved = solver.solve(versions.map(({ product }) => product!.inner)) ?? [];
  return solved.reduce((sum, { factor, names }) => (names.length === 0 ? sum + factor : sum), 0);
}

/** A size, or what ONNX calls a named dimension. */
function symbolicAxis(expression: AxisExpression): number | string {
  return axisNames(expression).length === 0 ? expression.reduce((sum, { factor }) => sum + factor, 0) : axisText(expression);
}

function axesOf(versions: readonly OnnxValue[], output: OnnxValue, solver: SizeSolver): AxisExpression[] {
  return output.shape.map((_, axis) => {
    const values = versions.map(({ shape }) => shape[axis] as number);
    const solved = solver.solve(values);
    if (solved !== undefined) return solved;
    throw new InputError(
      `compile: axis ${axis} of output ${output.name} is ${values.join(', ')} in three traces, which does not follow from the sizes of the inputs. ` +
        `Declare the axes that it depends on by name.`,
    );
  });
}

function isSame(versions: readonly OnnxInitializer[]): boolean {
  const [first, ...others] = versions as [OnnxInitializer, ...OnnxInitializer[]];
  return others.every(
    ({ shape, bytes }) =>
      shape.join() === first.shape.join() && bytes!.length === first.bytes!.length && equalBytes(bytes!, first.bytes!),
  );
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** The same constant of several traces as arithmetic on sizes. */
function symbolic(
  versions: readonly OnnxInitializer[],
  solver: SizeSolver,
  arithmetic: SizeArithmetic,
  consumer: string,
): string {
  const [first] = versions as [OnnxInitializer];
  const shapes = new Set(versions.map(({ shape }) => shape.join()));
  const numbers = versions.map(numbersOf);
  if (shapes.size > 1 || numbers[0]!.length > LARGEST_SIZE_CONSTANT) {
    throw new InputError(
      `compile: a constant for ${consumer} has the shapes ${versions.map(({ shape }) => `[${shape.join(', ')}]`).join(', ')} or other values in traces of other sizes: ` +
        `the function builds it from the sizes of its inputs. Build it from tensors (tf.range, tf.fill, tf.oneHot), or pass it as an input.`,
    );
  }
  const elements = numbers[0]!.map((_, index) => {
    const values = numbers.map((trace) => trace[index]!);
    const whole = values.every(Number.isInteger);
    // tf.mean and the like multiply by 1/n.
    const solved = solver.solve(whole ? values : values.map((value) => nearestWhole(1 / value)));
    if (solved !== undefined) return { expression: solved, inverse: !whole };
    throw new InputError(
      `compile: a number for ${consumer} is ${values.join(', ')} in traces of different sizes, which does not follow from the sizes of the inputs by sums and products. ` +
        `Compute it with tensors, or fix that axis.`,
    );
  });
  return arithmetic.constant(elements, first.shape, first.type);
}

/** 1/(1/n) in float32 is not quite n. */
function nearestWhole(value: number): number {
  const whole = Math.round(value);
  return Math.abs(value - whole) < 1e-4 * Math.abs(value) ? whole : value;
}

function numbersOf({ type, bytes }: OnnxInitializer): number[] {
  const { buffer, byteOffset, byteLength } = bytes!.slice();
  if (type === 'int64') return Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number);
  if (type === 'int32') return Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
  if (type === 'float32') return Array.from(new Float32Array(buffer, byteOffset, byteLength / 4));
  return Array.from(new Uint8Array(buffer, byteOffset, byteLength));
}

function consumerOf({ nodes }: TracedGraph, name: string): string {
  const node = nodes.find(({ inputs }) => inputs.includes(name));
  return node === undefined ? 'nothing' : `the operation ${node.operator} (${node.outputs[0]})`;
}

/** @throws {InputError} that names the first operation in which two traces differ. */
function assertSameStructure(first: TracedGraph, other: TracedGraph): void {
  const text = ({ operator, domain, inputs, outputs, attributes }: OnnxNode): string =>
    JSON.stringify([operator, domain, inputs, outputs, attributes]);
  const length = Math.max(first.nodes.length, other.nodes.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [first.nodes[index], other.nodes[index]];
    if (a !== undefined && b !== undefined && text(a) === text(b)) continue;
    throw new InputError(
      `compile: operation ${index} is ${a?.operator ?? 'not there'} in one trace and ${b?.operator ?? 'not there'} in one of other sizes: the function does ` +
        `different things for different sizes. Make its steps independent of the sizes, or compile it for fixed ones.`,
    );
  }
  const weights = first.weights.map(({ name }) => name).join();
  if (weights === other.weights.map(({ name }) => name).join()) return;
  throw new InputError('compile: the function uses other weights for other sizes. Make its steps independent of the sizes.');
}
