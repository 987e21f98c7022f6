import { CheckpointError, type HostTensor } from '@blip2/core';
import type { StepState } from '../trainer/trainable-step.ts';

const KINDS = ['params', 'first', 'second'] as const;

/** A tensor of a checkpoint under its name: `params.layers.0.weight`. */
export interface StateTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: HostTensor['data'];
}

/** The tensors of a state, parameters first. Values are not copied. */
export function stateTensors(state: StepState): StateTensor[] {
  return KINDS.flatMap((kind) => [...leavesOf(state[kind], kind)]);
}

function* leavesOf(tree: unknown, path: string): Generator<StateTensor> {
  if (typeof tree !== 'object' || tree === null) return;
  const { shape, data } = tree as HostTensor;
  if (Array.isArray(shape)) yield { name: path, shape, values: data };
  else for (const [key, child] of Object.entries(tree)) yield* leavesOf(child, `${path}.${key}`);
}

/**
 * The state again. Its trees are flat records by path, `{ 'layers.0.weight': … }`, which steps take as well as the trees they gave.
 *
 * @param file - For messages.
 * @throws {CheckpointError} for a name that belongs to no part of a state.
 */
export function stateFromTensors(tensors: Iterable<StateTensor>, steps: number, file: string): StepState {
  const trees = { params: {}, first: {}, second: {} } as Record<(typeof KINDS)[number], Record<string, HostTensor>>;
  for (const { name, shape, values } of tensors) {
    const [kind, path] = [name.slice(0, name.indexOf('.')), name.slice(name.indexOf('.') + 1)];
    const tree = Object.hasOwn(trees, kind) ? trees[kind as 'params'] : undefined;
    if (tree === undefined) {
      throw new CheckpointError(
        `${file}: holds a tensor '${name}', expected names that begin with ${KINDS.join('., ')}. and a path. Name the checkpoint of a training run.`,
        file,
      );
    }
    tree[path] = { shape, data: values };
  }
  return { ...trees, steps };
}
