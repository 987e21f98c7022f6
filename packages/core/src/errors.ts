/**
 * Every error of blip2.js is a `Blip2Error` with a stable `code` and data fields. A message says where,
 * what came, what was expected, and what to do. `isInstance` uses a registered symbol, so the check holds
 * when two copies of this package are installed.
 */

const MARKER = Symbol.for('blip2.error');

/** What kind of situation an error reports; stable, for programs. */
export type ErrorCode =
  | 'shape'
  | 'config'
  | 'weights'
  | 'checkpoint'
  | 'dataset'
  | 'download'
  | 'image'
  | 'input'
  | 'disposed'
  | 'backend'
  | 'resources'
  | 'training';

/** Written out, because minifiers rename classes. */
const NAMES: Readonly<Record<ErrorCode, string>> = {
  shape: 'ShapeError',
  config: 'ConfigError',
  weights: 'WeightsError',
  checkpoint: 'CheckpointError',
  dataset: 'DatasetError',
  download: 'DownloadError',
  image: 'ImageError',
  input: 'InputError',
  disposed: 'DisposedError',
  backend: 'UnsupportedBackendError',
  resources: 'ResourceError',
  training: 'TrainingError',
};

/** Base class of all errors that blip2.js throws on purpose. Aborts are not wrapped: they stay `AbortError`. */
export class Blip2Error extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = NAMES[code];
    this.code = code;
    Object.defineProperty(this, MARKER, { value: code });
  }

  /** True for errors of this class, also when they come from another copy of the package. */
  static isInstance(error: unknown): error is Blip2Error {
    return errorCode(error) !== undefined;
  }
}

/** The `code` of a blip2.js error, or `undefined` for any other value. */
export function errorCode(error: unknown): ErrorCode | undefined {
  return typeof error === 'object' && error !== null ? (error as Record<symbol, ErrorCode | undefined>)[MARKER] : undefined;
}

/** A tensor's shape is not the one a function needs. */
export class ShapeError extends Blip2Error {
  readonly actual: readonly number[];
  readonly expected: readonly (number | string)[];

  constructor(message: string, actual: readonly number[], expected: readonly (number | string)[]) {
    super('shape', message);
    this.actual = actual;
    this.expected = expected;
  }

  static override isInstance(error: unknown): error is ShapeError {
    return errorCode(error) === 'shape';
  }
}

/** A configuration file or option is missing, broken, or belongs to another model. */
export class ConfigError extends Blip2Error {
  constructor(message: string, options?: ErrorOptions) {
    super('config', message, options);
  }

  static override isInstance(error: unknown): error is ConfigError {
    return errorCode(error) === 'config';
  }
}

/** Weights do not fit the model: names missing or left over, wrong shapes or dtypes. */
export class WeightsError extends Blip2Error {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];

  constructor(message: string, details: { missing?: readonly string[]; unexpected?: readonly string[] } & ErrorOptions = {}) {
    super('weights', message, details.cause === undefined ? undefined : { cause: details.cause });
    this.missing = details.missing ?? [];
    this.unexpected = details.unexpected ?? [];
  }

  static override isInstance(error: unknown): error is WeightsError {
    return errorCode(error) === 'weights';
  }
}

/** A checkpoint file is missing, truncated or malformed. */
export class CheckpointError extends Blip2Error {
  readonly file: string;

  constructor(message: string, file: string, options?: ErrorOptions) {
    super('checkpoint', message, options);
    this.file = file;
  }

  static override isInstance(error: unknown): error is CheckpointError {
    return errorCode(error) === 'checkpoint';
  }
}

/** A file of a data set is missing, broken, or not in the format that was asked for. */
export class DatasetError extends Blip2Error {
  readonly file: string;

  constructor(message: string, file: string, options?: ErrorOptions) {
    super('dataset', message, options);
    this.file = file;
  }

  static override isInstance(error: unknown): error is DatasetError {
    return errorCode(error) === 'dataset';
  }
}

/** A file could not be fetched whole and verified. */
export class DownloadError extends Blip2Error {
  readonly url: string;
  readonly status: number | undefined;

  constructor(message: string, url: string, status?: number, options?: ErrorOptions) {
    super('download', message, options);
    this.url = url;
    this.status = status;
  }

  static override isInstance(error: unknown): error is DownloadError {
    return errorCode(error) === 'download';
  }
}

/** Bytes that are not a readable image, or an image over the pixel limit. */
export class ImageError extends Blip2Error {
  constructor(message: string, options?: ErrorOptions) {
    super('image', message, options);
  }

  static override isInstance(error: unknown): error is ImageError {
    return errorCode(error) === 'image';
  }
}

/** An argument is outside what the function accepts: an empty question, a text that is too long. */
export class InputError extends Blip2Error {
  constructor(message: string, options?: ErrorOptions) {
    super('input', message, options);
  }

  static override isInstance(error: unknown): error is InputError {
    return errorCode(error) === 'input';
  }
}

/** Something was used after its `dispose()`. */
export class DisposedError extends Blip2Error {
  constructor(what: string) {
    super('disposed', `${what} was disposed and cannot be used any more. Load it again, or dispose it later.`);
  }

  static override isInstance(error: unknown): error is DisposedError {
    return errorCode(error) === 'disposed';
  }
}

/** The tfjs backend or runtime lacks something that is needed. */
export class UnsupportedBackendError extends Blip2Error {
  constructor(message: string, options?: ErrorOptions) {
    super('backend', message, options);
  }

  static override isInstance(error: unknown): error is UnsupportedBackendError {
    return errorCode(error) === 'backend';
  }
}

/** The work would need more memory, disk or time than there is. */
export class ResourceError extends Blip2Error {
  constructor(message: string, options?: ErrorOptions) {
    super('resources', message, options);
  }

  static override isInstance(error: unknown): error is ResourceError {
    return errorCode(error) === 'resources';
  }
}

/** A training run cannot go on: its losses or gradients are no numbers any more. */
export class TrainingError extends Blip2Error {
  /** Counted from 1. */
  readonly step: number;
  /** The losses and metrics that were not finite. */
  readonly names: readonly string[];

  constructor(message: string, details: { readonly step: number; readonly names: readonly string[] }, options?: ErrorOptions) {
    super('training', message, options);
    this.step = details.step;
    this.names = details.names;
  }

  static override isInstance(error: unknown): error is TrainingError {
    return errorCode(error) === 'training';
  }
}
