import { CheckpointError, ConfigError } from '@blip2/core';

/** A parsed JSON object whose fields are checked as they are read; errors name the file and the path. */
export class JsonFields {
  readonly file: string;
  readonly #path: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(file: string, values: unknown, path = '') {
    this.file = file;
    this.#path = path;
    if (!isRecord(values)) throw unexpected(file, path === '' ? 'the file' : path, values, 'an object');
    this.#values = values;
  }

  /** @throws {CheckpointError} when the bytes are not JSON. */
  static parse(file: string, bytes: Uint8Array): JsonFields {
    let values: unknown;
    try {
      values = JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      const found = `${bytes.length} bytes that are not JSON (${(cause as Error).message})`;
      throw new CheckpointError(`${file}: found ${found}, expected a JSON object. Download the file again.`, file, { cause });
    }
    return new JsonFields(file, values);
  }

  get entries(): [string, unknown][] {
    return Object.entries(this.#values);
  }

  /** The value of a field, whatever it is. */
  raw(name: string): unknown {
    return this.#values[name];
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined && this.#values[name] !== null;
  }

  object(name: string): JsonFields {
    return new JsonFields(this.file, this.#values[name], this.at(name));
  }

  optionalObject(name: string): JsonFields | undefined {
    return this.has(name) ? this.object(name) : undefined;
  }

  array(name: string): readonly unknown[] {
    const value = this.#values[name];
    if (!Array.isArray(value)) throw this.unexpected(name, 'an array');
    return value;
  }

  /** The objects of an array. */
  objects(name: string): JsonFields[] {
    return this.array(name).map((value, index) => new JsonFields(this.file, value, `${this.at(name)}[${index}]`));
  }

  string(name: string, fallback?: string): string {
    const value = this.#values[name] ?? fallback;
    if (typeof value !== 'string') throw this.unexpected(name, 'a string');
    return value;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#values[name] ?? fallback;
    if (typeof value !== 'boolean') throw this.unexpected(name, 'true or false');
    return value;
  }

  integer(name: string, fallback?: number): number {
    const value = this.#values[name] ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.unexpected(name, 'an integer of at least 0');
    return value as number;
  }

  /** This object, whose `type` must be the given one. */
  ofType(type: string): this {
    if (this.#values['type'] !== type) throw this.unexpected('type', type);
    return this;
  }

  /** An error about a field: what it holds and what was expected. */
  unexpected(name: string, expected: string): ConfigError {
    return unexpected(this.file, this.at(name), this.#values[name], expected);
  }

  /** The path of a field from the top of the file. */
  at(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unexpected(file: string, path: string, value: unknown, expected: string): ConfigError {
  return unusable(`${file}: ${path}`, value === undefined ? 'missing' : JSON.stringify(value), expected);
}

/** An error about a place in a file: what is there and what was expected. */
export function unusable(where: string, found: string, expected: string): ConfigError {
  const cure = 'Use the tokenizer files of a BERT, OPT or T5 checkpoint, unchanged.';
  return new ConfigError(`${where} is ${abbreviate(found)}, expected ${expected}. ${cure}`);
}

/** Pieces and their ids. */
export function readVocabulary(fields: JsonFields): Map<string, number> {
  const vocab = new Map<string, number>();
  for (const [piece, id] of fields.entries) {
    if (!Number.isSafeInteger(id) || (id as number) < 0) throw fields.unexpected(piece, 'an id of at least 0');
    vocab.set(piece, id as number);
  }
  return vocab;
}

function abbreviate(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
