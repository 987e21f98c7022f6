import { createHash } from 'node:crypto';
import { CheckpointError } from '@blip2/core';
import { z } from 'zod';
import type { JsonValue } from '../trainer/batch-source.ts';

/** Of the layout that this version writes. Raise it when older programs would misread a checkpoint. */
export const CHECKPOINT_VERSION = 1;

const count = z.number().int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const content = z.object({
  format: z.literal('blip2.js training checkpoint'),
  version: count,
  /** When it was written, for people. */
  written: z.string(),
  step: count,
  /** Steps of the optimiser: without those that were skipped. */
  optimizerSteps: count,
  position: z.json(),
  identity: z.json(),
  counts: z.object({
    skippedSteps: count,
    skippedInARow: count,
    best: z.object({ metric: z.string(), value: z.number(), step: count }).optional(),
    evaluationDue: z.boolean().optional(),
  }),
  tensors: z.object({ file: z.literal('state.safetensors'), sizeBytes: count, sha256 }),
});

/** What `state.json` says. */
export interface StateFile {
  readonly format: 'blip2.js training checkpoint';
  readonly version: number;
  readonly written: string;
  readonly step: number;
  readonly optimizerSteps: number;
  readonly position: JsonValue;
  readonly identity: JsonValue;
  readonly counts: {
    readonly skippedSteps: number;
    readonly skippedInARow: number;
    readonly best?: { readonly metric: string; readonly value: number; readonly step: number };
    readonly evaluationDue?: boolean;
  };
  readonly tensors: { readonly file: 'state.safetensors'; readonly sizeBytes: number; readonly sha256: string };
}

/** The bytes of `state.json`: the content and a checksum of it, so that a changed digit is noticed. */
export function encodeStateFile(state: StateFile): Uint8Array {
  const plain: unknown = JSON.parse(JSON.stringify(state));
  return new TextEncoder().encode(`${JSON.stringify({ sha256: checksum(plain), checkpoint: plain }, undefined, 2)}\n`);
}

/**
 * Reads what {@link encodeStateFile} wrote.
 *
 * @returns the content, or in words why the file cannot be trusted.
 * @throws {CheckpointError} for one that is whole, but of a version that this program does not know.
 */
export function decodeStateFile(bytes: Uint8Array, file: string): StateFile | { readonly problem: string } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { problem: 'state.json is not JSON' };
  }
  const outer = z.object({ sha256, checkpoint: z.record(z.string(), z.unknown()) }).safeParse(parsed);
  if (!outer.success) return { problem: 'state.json is not that of a checkpoint' };
  if (checksum(outer.data.checkpoint) !== outer.data.sha256) return { problem: 'state.json does not have its checksum' };
  const { version } = outer.data.checkpoint;
  if (version !== CHECKPOINT_VERSION) {
    throw new CheckpointError(
      `${file}: is a checkpoint of version ${JSON.stringify(version)}, expected ${CHECKPOINT_VERSION}. Go on with the version of @blip2/training that wrote it.`,
      file,
    );
  }
  const inner = content.safeParse(outer.data.checkpoint);
  return inner.success ? (inner.data as StateFile) : { problem: `state.json: ${z.prettifyError(inner.error)}` };
}

function checksum(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
