import { CheckpointError, ShapeError, WeightsError } from './errors.ts';
import type { RunOptions } from './abort-and-progress.ts';
import { sizeOf } from './shapes.ts';

/** Number formats of safetensors files that blip2.js reads. */
export type WeightDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** Bytes of one element. */
export const DTYPE_BYTES: Readonly<Record<WeightDtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

const FLOAT_DTYPES: ReadonlySet<WeightDtype> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** Where a weight's bytes lie: row-major, little-endian, unaligned. */
export interface WeightLocation {
  /** Path or URL of the file. */
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/**
 * How a quantised matrix is stored: the codes of each row in blocks, and one scale a block. Weight `[row, column]` is
 * (code − zero point) · scale, with zero point 128 for 8 bits and 8 for 4. The layout is that of ONNX Runtime's `MatMulNBits`, without
 * its optional zero points, so a compiled graph can refer to both parts where they lie.
 */
export interface QuantizedParts {
  readonly bits: 8 | 4;
  /** Columns that share a scale: a power of two from 16 on. */
  readonly blockSize: number;
  /**
   * U8 `[rows, ceil(columns / blockSize), blockSize · bits / 8]`. With 4 bits the lower half of a byte is the earlier column. Codes beyond
   * the last column are the zero point.
   */
  readonly codes: Weight;
  /** F32 `[rows, ceil(columns / blockSize)]`. */
  readonly scales: Weight;
}

/**
 * A weight that is described but not read: a name, a shape and a place in a file. It becomes numbers when
 * eager execution asks, and an external initializer when a compiled graph refers to it.
 */
export interface Weight {
  readonly name: string;
  /** Of the values that {@link read} gives; a quantised weight says F32. */
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  /** Absent for a weight that is computed from others, such as a concatenated bias or a quantised matrix. */
  readonly location?: WeightLocation;
  /** Present for a matrix that is stored quantised; {@link read} gives its float values. */
  readonly quantized?: QuantizedParts;
  /** The values, row-major: floats as `Float32Array` (converted), integers and booleans as `Int32Array`. */
  read(options?: Pick<RunOptions, 'abortSignal'>): Promise<Float32Array | Int32Array>;
  /** A weight made of rows `[begin, end)` of this one, by reference: nothing is read. */
  rows(begin: number, end: number): Weight;
}

/** The weights of a checkpoint by name. */
export interface WeightSource {
  /** Folder or repository, for messages. */
  readonly name: string;
  readonly names: readonly string[];
  get(name: string): Weight | undefined;
}

/** A model folder: JSON and tokenizer files, and weights. `@blip2/checkpoints` opens these. */
export interface Checkpoint {
  /** Folder or repository, for messages. */
  readonly name: string;
  readonly weights: WeightSource;
  /** @returns the file's bytes, or `undefined` when the checkpoint has no such file. */
  readFile(name: string, options?: Pick<RunOptions, 'abortSignal'>): Promise<Uint8Array | undefined>;
  dispose(): void;
}

/** A weight held in memory, for parameters made by a program and for tests. */
export function weightFromValues(name: string, shape: readonly number[], values: Float32Array | Int32Array): Weight {
  if (sizeOf(shape) !== values.length) {
    const message = `weightFromValues: '${name}' has ${values.length} values, but the shape [${shape.join(', ')}] needs ${sizeOf(shape)}.`;
    throw new ShapeError(message, [values.length], shape);
  }
  return {
    name,
    dtype: values instanceof Int32Array ? 'I32' : 'F32',
    shape,
    read: () => Promise.resolve(values.slice()),
    rows(begin, end) {
      const rowSize = sizeOf(shape.slice(1));
      return weightFromValues(name, [end - begin, ...shape.slice(1)], values.subarray(begin * rowSize, end * rowSize));
    },
  };
}

/** The same weight under another name, by reference. */
export function renamedWeight(weight: Weight, name: string): Weight {
  return {
    name,
    dtype: weight.dtype,
    shape: weight.shape,
    location: weight.location,
    quantized: weight.quantized,
    read: (options) => weight.read(options),
    rows: (begin, end) => renamedWeight(weight.rows(begin, end), name),
  };
}

/**
 * The same weight under another shape with as many elements, by reference.
 * @throws {ShapeError} when the number of elements differs.
 */
export function reshapeWeight(weight: Weight, shape: readonly number[]): Weight {
  if (sizeOf(shape) !== sizeOf(weight.shape)) {
    const message = `reshapeWeight: '${weight.name}' is [${weight.shape.join(', ')}] and cannot become [${shape.join(', ')}].`;
    throw new ShapeError(message, weight.shape, shape);
  }
  return {
    name: weight.name,
    dtype: weight.dtype,
    shape,
    location: weight.location,
    read: (options) => weight.read(options),
    rows(begin, end) {
      throw new ShapeError(`rows: '${weight.name}' was reshaped; take rows [${begin}, ${end}) first.`, shape, weight.shape);
    },
  };
}

/**
 * Reads a part's weights out of a source by name, checking each shape, and remembers what was used.
 * Collects every problem and throws once, in {@link WeightReader.finish}.
 */
export class WeightReader {
  readonly #source: WeightSource;
  readonly #part: string;
  readonly #used: Set<string> = new Set();
  readonly #missing: string[] = [];
  readonly #wrongShapes: string[] = [];
  readonly #wrongDtypes: string[] = [];

  /** @param part - For messages: `vision encoder`. */
  constructor(source: WeightSource, part: string) {
    this.#source = source;
    this.#part = part;
  }

  /** True when the source has the name. */
  has(name: string): boolean {
    return this.#source.get(name) !== undefined;
  }

  /** The names taken so far. */
  get used(): ReadonlySet<string> {
    return this.#used;
  }

  /** The floating-point weight of this name and shape; a problem is kept for {@link finish}. `'any'` leaves an axis open. */
  take(name: string, shape: readonly (number | 'any')[]): Weight {
    const weight = this.#source.get(name);
    if (weight === undefined) {
      this.#missing.push(name);
      return missingWeight(name, shape);
    }
    this.#used.add(name);
    const fits = weight.shape.length === shape.length && shape.every((size, i) => size === 'any' || size === weight.shape[i]);
    if (!fits) this.#wrongShapes.push(`${name} is [${weight.shape.join(', ')}], expected [${shape.join(', ')}]`);
    if (!FLOAT_DTYPES.has(weight.dtype)) this.#wrongDtypes.push(`${name} is ${weight.dtype}`);
    return fits ? weight : missingWeight(name, shape);
  }

  /** Like {@link take}, but `undefined` where the source lacks the name. */
  takeOptional(name: string, shape: readonly (number | 'any')[]): Weight | undefined {
    return this.has(name) ? this.take(name, shape) : undefined;
  }

  /** Counts names as known although nothing reads them: buffers, tied copies, heads another model uses. */
  ignore(matches: (name: string) => boolean): void {
    for (const name of this.#source.names) if (matches(name)) this.#used.add(name);
  }

  /**
   * Throws when a weight is missing or has the wrong shape or dtype, or when a name that belongs to this part was not used.
   *
   * @param owns - Which names belong to this part; others are somebody else's.
   * @throws {WeightsError} naming up to five of each kind.
   */
  finish(owns: (name: string) => boolean = () => false): void {
    const unexpected = this.#source.names.filter((name) => owns(name) && !this.#used.has(name));
    const problems = [
      this.#missing.length > 0 ? `missing ${listSome(this.#missing)}` : undefined,
      this.#wrongShapes.length > 0 ? `wrong shapes: ${listSome(this.#wrongShapes, '; ')}` : undefined,
      this.#wrongDtypes.length > 0
        ? `not floating-point numbers (${[...FLOAT_DTYPES].join(', ')}): ${listSome(this.#wrongDtypes)}`
        : undefined,
      unexpected.length > 0 ? `not part of this model: ${listSome(unexpected)}` : undefined,
    ].filter((problem) => problem !== undefined);
    if (problems.length === 0) return;
    throw new WeightsError(
      `${this.#source.name}: the ${this.#part}'s weights do not fit its configuration — ${problems.join('. ')}. ` +
        `Check that config.json and the weights come from the same model.`,
      { missing: this.#missing, unexpected },
    );
  }
}

/** Up to five names, then how many more. */
export function listSome(names: readonly string[], separator = ', '): string {
  const more = names.length - 5;
  return names.slice(0, 5).join(separator) + (more > 0 ? ` and ${more} more` : '');
}

function missingWeight(name: string, shape: readonly (number | 'any')[]): Weight {
  return {
    name,
    dtype: 'F32',
    shape: shape.map((size) => (size === 'any' ? 0 : size)),
    read: () => Promise.reject(new CheckpointError(`'${name}' was not found in the checkpoint and cannot be read.`, name)),
    rows: () => missingWeight(name, shape),
  };
}
