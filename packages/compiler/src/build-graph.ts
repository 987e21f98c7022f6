import { type AxisExpression, axisNames, type AxisSpec, evaluateAxis, parseAxis, type TensorSpec } from '@blip2/core';
import { type DeclaredInput, mergeTraces } from './dynamic/merge-traces.ts';
import type { Assignment } from './dynamic/solve-sizes.ts';
import { nameOutputs } from './passes/name-outputs.ts';
import { removeUnused } from './passes/remove-unused.ts';
import { shareConstants } from './passes/share-constants.ts';
import type { TracedGraph } from './trace/graph-builder.ts';
import { trace, type TraceInput } from './trace/trace.ts';
import { flattenTree, isName, mapTree } from './tree.ts';

/** A function as a graph, before anything is decided about where it runs. */
export interface FunctionGraph {
  readonly graph: TracedGraph;
  /** Every input by its path in the tree of inputs, in the graph's order. */
  readonly inputs: readonly GraphInput[];
  /** For each output, its axes in terms of the named axes. */
  readonly outputAxes: readonly (readonly AxisExpression[])[];
  /** The function's result with output names at its leaves, in the graph's order. */
  readonly outputs: unknown;
}

/** A declared input. */
export interface GraphInput {
  readonly name: string;
  readonly axes: readonly AxisSpec[];
  readonly dtype: 'float32' | 'int32' | 'bool';
}

/**
 * Sizes that named axes have while tracing: four sets of primes without a common order, so that a sum or product is
 * recognised by its values. Two of them determine coefficients, the others check: with one check, among thousands of pairs of
 * products some fit by chance.
 */
const TRACED_SIZES: readonly (readonly number[])[] = [
  [5, 11, 17, 23, 31, 41, 47, 59],
  [37, 13, 71, 29, 7, 53, 19, 83],
  [19, 61, 43, 89, 67, 29, 103, 31],
  [101, 43, 29, 73, 97, 79, 61, 13],
];

/**
 * Traces a function into a graph. With named axes it is traced several times, with sizes that differ, and the traces are merged.
 *
 * @param compute - Gets trees of tensors: the inputs, then the weights.
 * @param inputs - A tree of {@link TensorSpec}s.
 * @param weights - A tree of weights by reference.
 * @throws {InputError} when the function reads values or depends on sizes in a way that one graph cannot.
 * @throws {UnsupportedBackendError} for an operation that has no ONNX form.
 */
export function buildGraph(
  compute: (inputs: never, weights: never) => unknown,
  inputs: unknown,
  weights: unknown,
): FunctionGraph {
  const declared = flattenTree(inputs).map(({ path, leaf }): GraphInput => {
    const { shape, dtype = 'float32' } = leaf as TensorSpec;
    return { name: path, axes: shape, dtype };
  });
  const parsed = declared.map(({ name, axes }): DeclaredInput => ({ name, axes: axes.map(parseAxis) }));
  const names = [...new Set(parsed.flatMap(({ axes }) => axes.flatMap(axisNames)))];
  const assignments = assignSizes(names);
  const traces = assignments.map((sizes) => {
    return trace(
      (params, tensors) => compute(tensors, params),
      weights,
      mapTree(inputs, (_, index) => concrete(declared[index]!, parsed[index]!, sizes)),
    );
  });
  const graphs = traces.map(({ graph }) => graph);
  const { graph, outputAxes } =
    graphs.length === 1 ? { graph: graphs[0]!, outputAxes: fixedAxes(graphs[0]!) } : mergeTraces(graphs, assignments, parsed);
  const result = traces[0]!.outputs;
  const named = nameOutputs(
    removeUnused(shareConstants(graph)),
    flattenTree(result, isName).map(({ path }) => path),
  );
  return { graph: named.graph, inputs: declared, outputAxes, outputs: mapTree(result, (_, index) => named.names[index], isName) };
}

/** One set of sizes when nothing is named, one for each trace otherwise. More axes than primes go on with larger numbers. */
function assignSizes(names: readonly string[]): Assignment[] {
  if (names.length === 0) return [new Map()];
  return TRACED_SIZES.map(
    (sizes, turn) => new Map(names.map((name, index) => [name, sizes[index] ?? 107 + 2 * (5 * index + ((3 * turn) % 4))])),
  );
}

function concrete({ dtype }: GraphInput, { axes }: DeclaredInput, sizes: Assignment): TraceInput {
  return { shape: axes.map((axis) => evaluateAxis(axis, sizes)), dtype };
}

function fixedAxes({ outputs }: TracedGraph): AxisExpression[][] {
  return outputs.map(({ shape }) => shape.map((size) => [{ factor: size as number, names: [] }]));
}
