import type { Tensor } from '@tensorflow/tfjs-core';

/** A leaf of a tree of inputs, outputs or parameters, and how it is reached: `past.0.key`. */
export interface TreeLeaf {
  readonly path: string;
  readonly leaf: object;
}

/** All leaves in the order of their keys. Absent values (`undefined`, `null`) and plain values have none. */
export function flattenTree(tree: unknown, path = ''): TreeLeaf[] {
  if (isLeaf(tree)) return [{ path: path === '' ? 'value' : path, leaf: tree }];
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.entries(tree).flatMap(([key, child]) => flattenTree(child, path === '' ? key : `${path}.${key}`));
}

/** The same tree with its leaves replaced; `index` counts them in the order of {@link flattenTree}. */
export function mapTree(tree: unknown, replace: (leaf: object, index: number) => unknown): unknown {
  let index = 0;
  const visit = (node: unknown): unknown => {
    if (isLeaf(node)) return replace(node, index++);
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
  };
  return visit(tree);
}

/** Tensors, weights, specs of tensors, host tensors: whatever has a shape. */
function isLeaf(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Array.isArray((value as Tensor).shape);
}
