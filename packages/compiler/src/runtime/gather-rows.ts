import { type EngineTensor, InputError, sizeOf } from '@blip2/core';
import type { OnnxGraph } from '../onnx/graph.ts';
import type { OrtData } from './ort-api.ts';

/** @throws {InputError} for a tensor without rows, or a row that it has not. */
export function assertRows({ shape }: Pick<EngineTensor, 'shape'>, rows: readonly number[]): void {
  const [count = 0] = shape;
  const wrong = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= count);
  if (shape.length > 0 && wrong === undefined) return;
  const problem = shape.length === 0 ? 'the tensor is a scalar and has no rows' : `row ${wrong} was asked for`;
  const expected =
    shape.length === 0 ? 'one of at least one axis' : `rows from 0 to ${count - 1}, because its shape is [${shape.join(', ')}]`;
  throw new InputError(`gatherRows: ${problem}, expected ${expected}. Correct the argument.`);
}

/** Row `i` of `target` becomes row `rows[i]` of `values`. @param shape - Of `values`. */
export function copyRows(values: OrtData, shape: readonly number[], rows: readonly number[], target: OrtData): void {
  const size = sizeOf(shape.slice(1));
  rows.forEach((row, index) => target.set(values.subarray(row * size, (row + 1) * size), index * size));
}

/** Gathers rows where nothing but ONNX Runtime reaches the values. */
export function gatherGraph(dtype: EngineTensor['dtype'], rank: number): OnnxGraph {
  const inner = Array.from({ length: rank - 1 }, (_, axis) => `axis${axis + 1}`);
  return {
    name: 'gather rows',
    nodes: [{ operator: 'Gather', domain: '', inputs: ['tensor', 'rows'], outputs: ['gathered'], attributes: { axis: 0 } }],
    initializers: [],
    inputs: [
      { name: 'tensor', type: dtype, shape: ['count', ...inner] },
      { name: 'rows', type: 'int32', shape: ['rows'] },
    ],
    outputs: [{ name: 'gathered', type: dtype, shape: ['rows', ...inner] }],
  };
}
