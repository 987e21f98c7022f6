import { mapTree } from '@blip2/compiler';
import type { Described, Weight } from '@blip2/core';
import type { Tensor } from '@tensorflow/tfjs-core';

/** Weights or tensors by their path in a parameter tree: `layers.0.selfAttention.key.weight`. */
export type ByPath<Leaf> = Readonly<Record<string, Leaf>>;

/** A parameter tree, taken apart into what trains and what does not. */
export interface SeparatedParameters<Tree> {
  /** What trains. A tied weight is there once, under the first of its paths. */
  readonly trained: ByPath<Weight>;
  readonly frozen: ByPath<Weight>;
  /** The tree again, of tensors; a pure function, for use within a loss. */
  join(trained: ByPath<Tensor>, frozen: ByPath<Tensor>): Tree;
}

/**
 * Takes a described tree apart. Ties stay ties: whatever shares a weight shares the tensor, and its gradient is the sum.
 *
 * @param isTrained - Told the name in the checkpoint and the path in the tree.
 *
 * @example
 * const { trained, frozen, join } = separateParameters(described, (name) => !name.startsWith('language_model.'));
 */
export function separateParameters<Tree>(
  tree: Described<Tree>,
  isTrained: (name: string, path: string) => boolean = () => true,
): SeparatedParameters<Tree> {
  const paths = new Map<Weight, string>();
  const [trained, frozen]: [Record<string, Weight>, Record<string, Weight>] = [{}, {}];
  mapTree<Weight>(tree, (weight, _, path) => {
    if (paths.has(weight)) return undefined;
    paths.set(weight, path);
    (isTrained(weight.name, path) ? trained : frozen)[path] = weight;
    return undefined;
  });
  return {
    trained,
    frozen,
    join: (live, fixed) =>
      mapTree<Weight>(tree, (weight) => {
        const path = paths.get(weight)!;
        return live[path] ?? fixed[path];
      }) as Tree,
  };
}
