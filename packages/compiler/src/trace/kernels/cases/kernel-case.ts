import type { Compute, InputSpec } from './case-inputs.ts';

/** One way to call a kernel, for inputs of any size. */
export interface KernelCase {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly compute: Compute;
  /** What tells it from others with the same inputs. */
  readonly title?: string;
  /** Smallest size of the named axes. @default 0 */
  readonly smallest?: number;
  /** The same for gradients: those of tfjs cannot broadcast from nothing. @default `smallest` */
  readonly smallestForGradients?: number;
  /** Inputs by which the gradient is compared as well. */
  readonly differentiable?: readonly string[];
  /** Whether one graph serves all sizes; not when sizes become attributes or data. @default true */
  readonly anySize?: boolean;
  /** As |a − b| ≤ tolerance · (1 + |b|). @default 1e-5 */
  readonly tolerance?: number;
}

/** Cases by the name of the kernel that they are for. */
export type KernelCases = Readonly<Record<string, readonly KernelCase[]>>;

/** What tells a case from the others of its kernel. */
export function titleOf({ title, inputs }: KernelCase): string {
  const described = Object.values(inputs)
    .map(({ dtype, axes }) => `${dtype} [${axes.join(', ')}]`)
    .join(', ');
  return title === undefined ? described : `${title}: ${described}`;
}
