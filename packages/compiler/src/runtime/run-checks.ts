import { DisposedError, InputError, ShapeError, sizeOf, type HostTensor } from '@blip2/core';
import type { OnnxValue } from '../onnx/graph.ts';
import { dtypeOf, OrtRuntimeTensor } from './ort-tensor.ts';
import type { OutputRequest, RuntimeValue } from './runtime.ts';

/**
 * Checks a run's inputs against the graph's.
 *
 * @returns the sizes of the named axes.
 * @throws {InputError} for a wrong number or type of inputs. @throws {ShapeError} for a wrong shape.
 */
export function checkInputs(where: string, expected: readonly OnnxValue[], values: readonly RuntimeValue[]): Map<string, number> {
  if (values.length !== expected.length) {
    const names = expected.map(({ name }) => name).join(', ');
    throw new InputError(`${where} got ${values.length} inputs, expected ${expected.length}: ${names}. Pass one value for each.`);
  }
  const axes = new Map<string, { readonly size: number; readonly name: string }>();
  expected.forEach(({ name, type, shape }, index) => {
    const value = values[index]!;
    const what = `${where}: input '${name}'`;
    const dtype = isHost(value) ? dtypeOf(value.data) : value.dtype;
    if (dtype !== type) throw new InputError(`${what} is ${dtype}, expected ${type}. Convert it before the run.`);
    if (isHost(value)) assertLength(what, value);
    assertFits(what, value.shape, shape);
    shape.forEach((axis, position) => {
      if (typeof axis === 'number' || axis === '') return;
      const size = value.shape[position]!;
      const known = axes.get(axis) ?? { size, name };
      axes.set(axis, known);
      if (known.size === size) return;
      throw new ShapeError(
        `${what} is [${value.shape.join(', ')}], expected [${shape.join(', ')}] with '${axis}' = ${known.size} as in ` +
          `'${known.name}'. Pass inputs of one call.`,
        value.shape,
        shape.map((one) => (one === axis ? known.size : one)),
      );
    });
  });
  return new Map([...axes].map(([axis, { size }]) => [axis, size]));
}

/** An output that a run gives, and how it is made. */
export interface PlannedOutput {
  readonly value: OnnxValue;
  /** Known before the run, or `undefined`. */
  readonly shape: readonly number[] | undefined;
  readonly into: OrtRuntimeTensor | undefined;
}

/**
 * Checks which outputs a run shall give, and finds their shapes.
 *
 * @param axes - Sizes of named axes, from the inputs.
 * @throws {InputError} for names that the graph has not, names asked for twice, and tensors that cannot be written into.
 * @throws {ShapeError} for shapes that are not the graph's.
 */
export function planOutputs(
  where: string,
  available: readonly OnnxValue[],
  requests: readonly OutputRequest[],
  axes: ReadonlyMap<string, number>,
): PlannedOutput[] {
  const names = new Set<string>();
  const targets = new Set<OrtRuntimeTensor>();
  return requests.map((request) => {
    const value = available.find(({ name }) => name === request.name);
    if (value === undefined || names.has(request.name)) {
      const problem = value === undefined ? 'is not one of the graph’s' : 'was asked for twice';
      const known = available.map(({ name }) => name).join(', ');
      throw new InputError(
        `${where}: output '${request.name}' ${problem}, expected some of ${known}, each once. Correct its name.`,
      );
    }
    names.add(request.name);
    const what = `${where}: output '${request.name}'`;
    const into = request.into === undefined ? undefined : writable(what, value, request.into, targets);
    if (into !== undefined) targets.add(into);
    const expected = value.shape.map((axis) => (typeof axis === 'number' ? axis : (axes.get(axis) ?? axis)));
    const computed = expected.every((axis) => typeof axis === 'number') ? expected : undefined;
    const shape = into?.shape ?? request.shape ?? computed;
    if (shape !== undefined) assertFits(what, shape, expected);
    return { value, shape, into };
  });
}

function writable(
  what: string,
  value: OnnxValue,
  target: NonNullable<OutputRequest['into']>,
  taken: ReadonlySet<OrtRuntimeTensor>,
): OrtRuntimeTensor {
  if (!(target instanceof OrtRuntimeTensor)) {
    throw new InputError(
      `${what} shall be written into a tensor of another engine, expected one of this runtime. Make one with createTensor.`,
    );
  }
  if (target.isDisposed) throw new DisposedError(`${what}: the tensor to write into`);
  if (taken.has(target)) {
    throw new InputError(`${what} shall be written into the same tensor as another output. Pass one tensor for each.`);
  }
  if (target.dtype !== value.type) {
    throw new InputError(
      `${what} is ${value.type} and cannot be written into a tensor of ${target.dtype}. Pass one of its type.`,
    );
  }
  return target;
}

function assertFits(what: string, actual: readonly number[], expected: readonly (number | string)[]): void {
  const fits = actual.length === expected.length && expected.every((axis, i) => typeof axis === 'string' || axis === actual[i]);
  if (fits) return;
  const cure = 'Pass the shape that the graph was made for, or make a graph for this one.';
  throw new ShapeError(`${what} is [${actual.join(', ')}], expected [${expected.join(', ')}]. ${cure}`, actual, expected);
}

function assertLength(what: string, { shape, data }: HostTensor): void {
  if (data.length === sizeOf(shape)) return;
  const message = `${what} has ${data.length} values, but its shape [${shape.join(', ')}] needs ${sizeOf(shape)}. Correct the shape.`;
  throw new ShapeError(message, [data.length], shape);
}

/** True for values in JavaScript's memory. */
export function isHost(value: RuntimeValue): value is HostTensor {
  return !('dispose' in value);
}
