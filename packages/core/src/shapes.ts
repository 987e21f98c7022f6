import { ShapeError } from './errors.ts';

/** A number is an exact size; a string names an axis of any size. A repeated name must have one size. */
export type Axis = number | string;

/**
 * Checks a shape at a public boundary.
 *
 * @param shaped - A tensor, or anything with a `shape`.
 * @param expected - One entry an axis: a number is exact, a name stands for any size (the same name twice: the same size).
 * @param where - What is checked, as it should stand in the message: `'encodeQueries: imageFeatures'`.
 * @param cure - A last sentence that tells the user what to do.
 * @throws {ShapeError} when rank or a size differs.
 *
 * @example
 * assertShape(imageFeatures, ['batch', 'tokens', 1408], 'encodeQueries: imageFeatures');
 * // ShapeError: encodeQueries: imageFeatures is [2, 257, 1024], expected [batch, tokens, 1408].
 */
export function assertShape(
  shaped: { readonly shape: readonly number[] },
  expected: readonly Axis[],
  where: string,
  cure?: string,
): void {
  const actual = shaped.shape;
  const sizes = new Map<string, number>();
  const fits =
    actual.length === expected.length &&
    expected.every((axis, index) => {
      const size = actual[index]!;
      if (typeof axis === 'number') return axis === size;
      const known = sizes.get(axis) ?? size;
      sizes.set(axis, size);
      return known === size;
    });
  if (fits) return;
  const message = `${where} is [${actual.join(', ')}], expected [${expected.join(', ')}].`;
  throw new ShapeError(cure === undefined ? message : `${message} ${cure}`, actual, expected);
}

/** The number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
