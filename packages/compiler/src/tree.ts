import type { Tensor } from '@tensorflow/tfjs-core';

/** A leaf of a tree of inputs, outputs or parameters, and how it is reached: `past.0.key`. */
export interface TreeLeaf<Leaf = object> {
  readonly path: string;
  readonly leaf: Leaf;
}

/** What counts as a leaf. @default whatever has a shape: tensors, weights, specs of tensors, host tensors */
type LeafTest = (value: unknown) => boolean;

const hasShape: LeafTest = (value) => typeof value === 'object' && value !== null && Array.isArray((value as Tensor).shape);

/** Leaves of a tree whose leaves are names. */
export const isName: LeafTest = (value) => typeof value === 'string';

/** All leaves in the order of their keys. Absent values (`undefined`, `null`) and plain values have none. */
export function flattenTree<Leaf = object>(tree: unknown, isLeaf: LeafTest = hasShape, path = ''): TreeLeaf<Leaf>[] {
  if (isLeaf(tree)) return [{ path: path === '' ? 'value' : path, leaf: tree as Leaf }];
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.entries(tree).flatMap(([key, child]) => flattenTree<Leaf>(child, isLeaf, path === '' ? key : `${path}.${key}`));
}

/** The same tree with its leaves replaced; `index` counts them in the order of {@link flattenTree}, which also has the `path`. */
export function mapTree<Leaf = object>(
  tree: unknown,
  replace: (leaf: Leaf, index: number, path: string) => unknown,
  isLeaf: LeafTest = hasShape,
): unknown {
  let index = 0;
  const visit = (node: unknown, path: string): unknown => {
    if (isLeaf(node)) return replace(node as Leaf, index++, path === '' ? 'value' : path);
    if (typeof node !== 'object' || node === null) return node;
    const at = (key: string | number): string => (path === '' ? `${key}` : `${path}.${key}`);
    if (Array.isArray(node)) return node.map((child, place) => visit(child, at(place)));
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child, at(key))]));
  };
  return visit(tree, '');
}
