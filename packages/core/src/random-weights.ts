import { describeOnlyReader } from './describe-only.ts';
import { type Random, seededRandom } from './random.ts';
import { sizeOf } from './shapes.ts';
import type { Weight, WeightReader, WeightSource } from './weights.ts';

/** How {@link randomWeights} draws. */
export interface RandomWeightsOptions {
  /** The same seed gives the same weights, whatever the order in which they are read. @default 0 */
  readonly seed?: number;
  /** Of matrices and embeddings, of all or by name. @default 0.02, as BERT, OPT and BLIP-2 start */
  readonly standardDeviation?: number | ((name: string) => number);
  /** Which optional weights the model has. @default none */
  readonly has?: (name: string) => boolean;
}

/**
 * Weights of an untrained model: normal numbers in matrices and embeddings, ones in norms, zeros in biases. They are
 * drawn when they are read, so a model of any size costs nothing until then.
 *
 * @param describe - Takes every weight of the model from the reader, as a loader does.
 * @returns a source that holds the names that were taken.
 *
 * @example
 * const weights = randomWeights((reader) => describeVisionTransformer(reader, config), { seed: 1 });
 * const encoder = await createVisionEncoder(weights, config);
 */
export function randomWeights(describe: (reader: WeightReader) => unknown, options: RandomWeightsOptions = {}): WeightSource {
  const { seed = 0, standardDeviation = 0.02, has } = options;
  const reader = describeOnlyReader('random weights', has);
  describe(reader);
  const spreadOf = typeof standardDeviation === 'number' ? () => standardDeviation : standardDeviation;
  const weights = new Map<string, Weight>();
  for (const { name, shape } of reader.taken) {
    weights.set(
      name,
      lazyWeight(name, shape, () => drawValues(name, shape, seededRandom(seed ^ hashOf(name)), spreadOf(name))),
    );
  }
  return { name: `random weights (seed ${seed})`, names: [...weights.keys()], get: (name) => weights.get(name) };
}

/** By the naming that every checkpoint of this project follows: vectors called `weight` scale, those called `bias` shift. */
function drawValues(name: string, shape: readonly number[], random: Random, standardDeviation: number): Float32Array {
  const values = new Float32Array(sizeOf(shape));
  const isVector = shape.length === 1;
  if (isVector && name.endsWith('bias')) return values;
  if (isVector && name.endsWith('.weight')) return values.fill(1);
  for (let index = 0; index < values.length; index += 2) {
    // Box and Muller: two uniform numbers make two normal ones.
    const radius = standardDeviation * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[index] = radius * Math.cos(angle);
    values[index + 1] = radius * Math.sin(angle); // past the end of an odd length: dropped
  }
  return values;
}

/** FNV-1a, so that each weight has a stream of its own. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash;
}

function lazyWeight(name: string, shape: readonly number[], draw: () => Float32Array): Weight {
  const rowSize = sizeOf(shape.slice(1));
  return {
    name,
    dtype: 'F32',
    shape,
    read: async (options) => {
      options?.abortSignal?.throwIfAborted();
      return draw();
    },
    rows: (begin, end) => lazyWeight(name, [end - begin, ...shape.slice(1)], () => draw().slice(begin * rowSize, end * rowSize)),
  };
}
