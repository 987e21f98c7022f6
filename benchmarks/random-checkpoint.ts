import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeWeights } from '@blip2/checkpoints/node';
import { seededRandom, sizeOf, type TakenWeight, type Weight } from '@blip2/core';

/** A model folder of given dimensions whose numbers mean nothing. */
export interface RandomCheckpoint {
  /** Names and shapes, as `expectedWeights` or a `describeOnlyReader` list them. */
  readonly weights: readonly TakenWeight[];
  /** The content of `config.json`. */
  readonly config: unknown;
  /** How floats are stored. */
  readonly dtype: 'F32' | 'F16' | 'BF16';
  /** Whose tokenizer files to put beside the weights. @default none */
  readonly tokenizer?: 'bert' | 'opt' | 't5';
}

/** As BERT, OPT and BLIP-2 start; activations stay far from the limits of half precision. */
const STANDARD_DEVIATION = 0.02;

/**
 * How many numbers are drawn; each weight reads them from another place, because drawing billions would take minutes. A
 * prime, so that no two rows of a matrix are alike.
 */
const POOL_LENGTH = 1_048_573;

let pool: Float32Array | undefined;

/**
 * Writes the folder, unless it was written before: `config.json` comes last, and its presence says that all is there.
 *
 * @returns whether it had to be written.
 * @throws {ResourceError} when the disk is full.
 *
 * @example
 * await writeRandomCheckpoint(folder, { weights: expectedWeights(parseBlip2Config(json)), config: json, dtype: 'F16' });
 */
export async function writeRandomCheckpoint(folder: string, checkpoint: RandomCheckpoint): Promise<boolean> {
  const { weights, config, dtype, tokenizer } = checkpoint;
  if (existsSync(join(folder, 'config.json'))) return false;
  await mkdir(folder, { recursive: true });
  await writeWeights(folder, weights.map(randomWeight), { dtype, maxShardBytes: 1e9, overwrite: true });
  if (tokenizer !== undefined) await copyTokenizer(tokenizer, folder);
  await writeFile(join(folder, 'config.json'), JSON.stringify(config, undefined, 1));
  return true;
}

async function copyTokenizer(kind: 'bert' | 'opt' | 't5', folder: string): Promise<void> {
  const source = fileURLToPath(new URL(`../testing/fixtures/models/tokenizers-real/${kind}/`, import.meta.url));
  for (const file of await readdir(source)) if (file !== 'cases.json') await copyFile(join(source, file), join(folder, file));
}

/** Norms scale by about one, the temperature is the one that training starts with, all else is normal around zero. */
function randomWeight({ name, shape }: TakenWeight, index: number): Weight {
  const read = (): Promise<Float32Array> => {
    if (name === 'temp') return Promise.resolve(Float32Array.of(0.07));
    const isNorm = shape.length === 1 && name.endsWith('.weight');
    return Promise.resolve(randomNormals(sizeOf(shape), index * 7919, { mean: isNorm ? 1 : 0, deviation: STANDARD_DEVIATION }));
  };
  return { name, dtype: 'F32', shape, read, rows: () => Promise.reject(new Error('not needed to write')) as never };
}

/**
 * Normal-looking numbers, the same ones for the same arguments.
 *
 * @param offset - Where in the pool to begin.
 */
export function randomNormals(
  count: number,
  offset: number,
  { mean = 0, deviation = 1 }: { readonly mean?: number; readonly deviation?: number } = {},
): Float32Array {
  pool ??= drawPool();
  const values = new Float32Array(count);
  let from = offset % POOL_LENGTH;
  for (let index = 0; index < count; index++) {
    values[index] = mean + deviation * pool[from]!;
    from = from + 1 === POOL_LENGTH ? 0 : from + 1;
  }
  return values;
}

function drawPool(): Float32Array {
  const random = seededRandom(1);
  const draw = (): number => (random() + random() + random() + random() - 2) * Math.sqrt(3); // variance 1
  return Float32Array.from({ length: POOL_LENGTH }, draw);
}
