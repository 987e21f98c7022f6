import { type EngineTensor, sizeOf } from '@blip2/core';
import type { Runtime } from './runtime.ts';

/** Copies rows of a tensor: row `i` of the result is row `rows[i]`. @returns a new tensor of the runtime, the caller's. */
export async function gatherRows(runtime: Runtime, tensor: EngineTensor, rows: readonly number[]): Promise<EngineTensor> {
  const shape = [rows.length, ...tensor.shape.slice(1)];
  const rowSize = sizeOf(shape.slice(1));
  const values = await tensor.data();
  const data = values.slice(0, 0).constructor as new (length: number) => typeof values;
  const gathered = new data(rows.length * rowSize);
  rows.forEach((row, index) => gathered.set(values.subarray(row * rowSize, (row + 1) * rowSize), index * rowSize));
  return runtime.createTensor({ shape, data: gathered });
}
