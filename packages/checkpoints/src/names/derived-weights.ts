import { CheckpointError, sizeOf, type QuantizedParts, type Weight, type WeightDtype } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import { assertRows } from '../safetensors/stored-weight.ts';
import { isFloatDtype, makeValues, type Values } from '../safetensors/values.ts';

/** A weight of zeros, which no file holds. */
export function zeroWeight(name: string, dtype: WeightDtype, shape: readonly number[]): Weight {
  return {
    name,
    dtype,
    shape,
    read: () => Promise.resolve(makeValues(dtype, sizeOf(shape))),
    rows(begin, end) {
      assertRows(name, shape, begin, end);
      return zeroWeight(name, dtype, [end - begin, ...shape.slice(1)]);
    },
  };
}

/**
 * Weights below one another as one weight. Nothing is read before `read()`.
 *
 * @param parts - `[rows, …]` each; all axes but the first are equal.
 * @returns `[sum of rows, …]`, without a location; quantised when all parts are, in the same way.
 * @throws {CheckpointError} when the parts do not fit together.
 */
export function concatenatedWeight(name: string, parts: readonly Weight[]): Weight {
  const rowShape = parts[0]!.shape.slice(1);
  const fits = parts.every((part) => part.shape.length > 0 && part.shape.slice(1).join() === rowShape.join());
  if (!fits) {
    const found = parts.map((part) => `'${part.name}' [${part.shape.join(', ')}]`).join(', ');
    const file = parts[0]!.location?.file ?? name;
    throw new CheckpointError(
      `${file}: ${found} cannot be joined into '${name}': rows differ in shape. Check that they come from one model.`,
      file,
    );
  }
  const dtypes = new Set(parts.map((part) => part.dtype));
  const dtype = dtypes.size === 1 ? parts[0]!.dtype : parts.every((part) => isFloatDtype(part.dtype)) ? 'F32' : 'I32';
  const shape = [parts.reduce((rows, part) => rows + part.shape[0]!, 0), ...rowShape];
  return {
    name,
    dtype,
    shape,
    quantized: concatenatedCodes(name, parts),
    read: (options) => readInto(makeValues(dtype, sizeOf(shape)), parts, options),
    rows(begin, end) {
      assertRows(name, shape, begin, end);
      return concatenatedWeight(name, slicesOf(parts, begin, end));
    },
  };
}

/** Codes and scales below one another, where all weights have them and in blocks of one kind. */
function concatenatedCodes(name: string, weights: readonly Weight[]): QuantizedParts | undefined {
  const parts = weights.flatMap(({ quantized }) => quantized ?? []);
  const [first] = parts;
  const isOneKind = parts.every(({ bits, blockSize }) => bits === first?.bits && blockSize === first.blockSize);
  if (first === undefined || parts.length < weights.length || !isOneKind) return undefined;
  return {
    ...first,
    codes: concatenatedWeight(
      `${name}.codes`,
      parts.map(({ codes }) => codes),
    ),
    scales: concatenatedWeight(
      `${name}.scales`,
      parts.map(({ scales }) => scales),
    ),
  };
}

async function readInto(values: Values, parts: readonly Weight[], options?: ReadOptions): Promise<Values> {
  let offset = 0;
  for (const part of await Promise.all(parts.map((weight) => weight.read(options)))) {
    values.set(part, offset);
    offset += part.length;
  }
  return values;
}

/** The pieces of the parts that rows `[begin, end)` of their concatenation are made of; an empty one when there are none. */
function slicesOf(parts: readonly Weight[], begin: number, end: number): Weight[] {
  let first = 0;
  const slices = parts.flatMap((part) => {
    const from = Math.max(begin - first, 0);
    const to = Math.min(end - first, part.shape[0]!);
    first += part.shape[0]!;
    return from < to ? [part.rows(from, to)] : [];
  });
  return slices.length > 0 ? slices : [parts[0]!.rows(0, 0)];
}
