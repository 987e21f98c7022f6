import { CheckpointError, ConfigError } from './errors.ts';
import { type Weight, WeightReader } from './weights.ts';

/** What a {@link DescribeOnlyReader} was asked for: a name and the shape it has. */
export interface TakenWeight {
  readonly name: string;
  readonly shape: readonly number[];
}

/**
 * A reader with no file behind it: whatever a loader takes, it gets, as a weight that has a shape and no values.
 * It answers what a model is made of — parameters, bytes, names — from a configuration alone.
 */
export class DescribeOnlyReader extends WeightReader {
  readonly #part: string;
  readonly #has: (name: string) => boolean;
  readonly #taken: Map<string, TakenWeight> = new Map();

  /**
   * @param part - For messages: `vision encoder`.
   * @param has - Which optional weights the imagined checkpoint has. @default none
   */
  constructor(part: string, has: (name: string) => boolean = () => false) {
    super({ name: `the description of the ${part}`, names: [], get: () => undefined }, part);
    this.#part = part;
    this.#has = has;
  }

  /** Every weight that was taken, in order, whole: a loader that takes rows of a fused matrix took the matrix. */
  get taken(): readonly TakenWeight[] {
    return [...this.#taken.values()];
  }

  override get used(): ReadonlySet<string> {
    return new Set(this.#taken.keys());
  }

  override has(name: string): boolean {
    return this.#taken.has(name) || this.#has(name);
  }

  override take(name: string, shape: readonly (number | 'any')[]): Weight {
    const sizes = shape.map((size, axis) => {
      if (size !== 'any') return size;
      throw new ConfigError(
        `${this.#part}: the size of axis ${axis} of '${name}' is in its file, not in the configuration, and there is no file. ` +
          `Describe this part from a checkpoint.`,
      );
    });
    this.#taken.set(name, { name, shape: sizes });
    return unreadableWeight(name, sizes, this.#part);
  }
}

/**
 * A reader that describes a model without a file, for counting parameters and listing names.
 *
 * @param part - For messages: `vision encoder`.
 * @param has - Which optional weights the imagined checkpoint has. @default none
 *
 * @example
 * const reader = describeOnlyReader('vision encoder');
 * countParameters(describeVisionTransformer(reader, EVA_VIT_G)); // 985949440
 */
export function describeOnlyReader(part: string, has?: (name: string) => boolean): DescribeOnlyReader {
  return new DescribeOnlyReader(part, has);
}

function unreadableWeight(name: string, shape: readonly number[], part: string): Weight {
  return {
    name,
    dtype: 'F32',
    shape,
    read: () =>
      Promise.reject(
        new CheckpointError(
          `${part}: '${name}' was described without a file and has no values. Load it from a checkpoint.`,
          name,
        ),
      ),
    rows: (begin, end) => unreadableWeight(name, [end - begin, ...shape.slice(1)], part),
  };
}
