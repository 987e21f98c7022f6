import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, ConfigError, InputError } from '@blip2/core';
import { fileProblem } from '@blip2/checkpoints/node';
import * as z from 'zod/mini';

/** Anything JSON can say about where features come from: encoder, hash of its weights, preprocessing. Order of fields does not count. */
export type FeatureIdentity =
  | string
  | number
  | boolean
  | null
  | readonly FeatureIdentity[]
  | { readonly [key: string]: FeatureIdentity };

/** What all features of a store have in common. */
export interface FeatureStoreDescription {
  /** Tokens of one image. */
  readonly tokens: number;
  /** Width of a token's features. */
  readonly width: number;
  /** How values are stored; they are read as float32 always. */
  readonly dtype: 'F16' | 'F32';
  readonly identity: FeatureIdentity;
}

/** The file that makes a folder a store. It is written once. */
export const STORE_FILE = 'store.json';
const FORMAT = 'blip2-features';
const VERSION = 1;

const sideSchema = z.int().check(z.gte(1));
const storeSchema = z.object({
  format: z.literal(FORMAT),
  version: z.int(),
  tokens: sideSchema,
  width: sideSchema,
  dtype: z.enum(['F16', 'F32']),
  identity: z.unknown(),
});

/** Numbers of one row. */
export function rowLength({ tokens, width }: FeatureStoreDescription): number {
  return tokens * width;
}

/** Bytes of one row on disk. */
export function rowBytes(description: FeatureStoreDescription): number {
  return rowLength(description) * (description.dtype === 'F16' ? 2 : 4);
}

/** The bytes of {@link STORE_FILE}. */
export function encodeDescription({ tokens, width, dtype, identity }: FeatureStoreDescription): Uint8Array {
  const json = { format: FORMAT, version: VERSION, tokens, width, dtype, identity };
  return new TextEncoder().encode(`${JSON.stringify(json, undefined, 2)}\n`);
}

/**
 * The description of a folder's store.
 *
 * @returns `undefined` where there is no store.
 * @throws {CheckpointError} when the description is damaged or of a later format.
 */
export async function readDescription(folder: string): Promise<FeatureStoreDescription | undefined> {
  const path = join(folder, STORE_FILE);
  const json = await readJson(
    path,
    'It cannot be put together again from the shards: write the features anew into an empty folder.',
  );
  if (json === undefined) return undefined;
  const parsed = z.safeParse(storeSchema, json);
  if (!parsed.success) {
    const field = parsed.error.issues[0]?.path.join('.');
    throw new CheckpointError(
      `${path}: ${field ? `the field ${field} is missing or wrong` : 'this is no description of features'}, expected what createFeatureStore writes. ` +
        `Restore the file, or write the features anew into an empty folder.`,
      path,
    );
  }
  const { version, tokens, width, dtype, identity } = parsed.data;
  if (version !== VERSION) {
    throw new CheckpointError(
      `${path}: the store has format version ${version}, expected ${VERSION}. Update @blip2/datasets, or write the features anew.`,
      path,
    );
  }
  return { tokens, width, dtype, identity: identity as FeatureIdentity };
}

/**
 * Checks numbers that a caller gave.
 * @throws {InputError} naming the first that cannot be.
 */
export function assertDescription({ tokens, width, dtype, identity }: FeatureStoreDescription): void {
  for (const [name, value] of Object.entries({ tokens, width })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new InputError(
      `createFeatureStore: ${name} is ${value}, expected a whole number of at least 1. Take it from the encoder's output.`,
    );
  }
  if (dtype !== 'F16' && dtype !== 'F32') {
    throw new InputError(`createFeatureStore: dtype is ${String(dtype)}, expected 'F16' or 'F32'. Choose one.`);
  }
  if (identity === undefined) {
    throw new InputError(
      `createFeatureStore: identity is missing, expected what tells these features from others, such as the encoder's id and the hash of its weights. Pass it.`,
    );
  }
}

/**
 * Checks that a store is the one somebody means.
 *
 * @param expected - Fields that are left out are not checked.
 * @throws {ConfigError} naming the first difference.
 */
export function assertSameStore(
  folder: string,
  found: FeatureStoreDescription,
  expected: Partial<FeatureStoreDescription>,
  cure: string,
): void {
  for (const field of ['tokens', 'width', 'dtype', 'identity'] as const) {
    if (expected[field] === undefined) continue;
    const difference = firstDifference(field, found[field], expected[field]);
    if (difference === undefined) continue;
    const [path, has, wants] = difference;
    throw new ConfigError(`${folder}: the features were made with ${path} ${has}, expected ${wants}. ${cure}`);
  }
}

/** A short name of everything that two shards of one store share. */
export function fingerprint({ tokens, width, dtype, identity }: FeatureStoreDescription): string {
  return createHash('sha256').update(canonicalJson({ tokens, width, dtype, identity })).digest('hex');
}

/**
 * A JSON file.
 *
 * @returns `undefined` when there is none.
 * @throws {CheckpointError} when it cannot be read or is not JSON.
 */
export async function readJson(path: string, cure: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileProblem('read', path, cause);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new CheckpointError(
      `${path}: found ${text.length} characters that are not JSON, expected a whole JSON file. ${cure}`,
      path,
      {
        cause,
      },
    );
  }
}

/** JSON with the fields of objects in the order of their names. */
function canonicalJson(value: FeatureIdentity): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}

/** Where two values differ first, and what each has there. */
function firstDifference(
  path: string,
  found: FeatureIdentity | undefined,
  expected: FeatureIdentity | undefined,
): [path: string, found: string, expected: string] | undefined {
  if (isRecord(found) && isRecord(expected)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(found)])) {
      const inner = firstDifference(`${path}.${key}`, found[key], expected[key]);
      if (inner !== undefined) return inner;
    }
    return undefined;
  }
  const [has, wants] = [found, expected].map((value) => (value === undefined ? 'missing' : canonicalJson(value))) as [
    string,
    string,
  ];
  return has === wants ? undefined : [path, has, wants];
}

function isRecord(value: unknown): value is Record<string, FeatureIdentity> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
