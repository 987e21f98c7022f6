import { type HostTensor, type Weight, WeightsError } from '@blip2/core';
import type { ByPath } from './separate-parameters.ts';

/** A tensor under its name in a checkpoint, as `writeWeights` of `@blip2/checkpoints` takes it. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * Trained values under the names and in the shapes of the checkpoint they came from: rows of a fused matrix go back into one,
 * reshaped weights into their own shape.
 *
 * @param weights - What was trained, by path.
 * @param values - Its values, by the same paths.
 * @param shapeOf - The shape of a name in the checkpoint.
 * @throws {WeightsError} when values are missing, or parts of a fused matrix do not fill it.
 */
export function namedTensors(
  weights: ByPath<Weight>,
  values: ByPath<HostTensor>,
  shapeOf: (name: string) => readonly number[] | undefined,
): NamedTensor[] {
  const parts = new Map<string, Float32Array[]>();
  for (const [path, { name }] of Object.entries(weights)) {
    const value = values[path];
    if (value === undefined) {
      throw new WeightsError(`Trained weights: '${path}' (${name}) has no values. Pass the state of the same training step.`, {
        missing: [name],
      });
    }
    parts.set(name, [...(parts.get(name) ?? []), value.data as Float32Array]);
  }
  return Array.from(parts, ([name, pieces]) => {
    const all = pieces.length === 1 ? pieces[0]! : joined(pieces);
    const shape = shapeOf(name) ?? [all.length];
    const size = shape.reduce((product, length) => product * length, 1);
    if (size === all.length) return { name, shape, values: all };
    throw new WeightsError(
      `Trained weights: '${name}' has ${all.length} values, expected ${size} for the shape [${shape.join(', ')}]. ` +
        `Train all parts of a fused matrix, or none.`,
    );
  });
}

function joined(pieces: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
