import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileProblem, writeNewFolder } from '@blip2/checkpoints/node';
import { Blip2Error, InputError, ProgressReporter, type RunOptions } from '@blip2/core';
import { writeFlickr30k, writeNoCaps } from './captioned.ts';
import { writeCocoAndVqa } from './coco.ts';
import { writeGqa } from './gqa.ts';
import { partsOf, type ShapesWorldCounts, shapesWorldCounts } from './plan.ts';

export interface WriteShapesWorldOptions extends RunOptions {
  /** Any integer; its low 32 bits count. */
  readonly seed: number;
  /** Images of each part. @default shapesWorldCounts(10_000) */
  readonly counts?: ShapesWorldCounts;
  /** Side of the images in pixels, 32 or more. @default 128 */
  readonly size?: number;
}

/** What was written. */
export interface ShapesWorldSummary {
  /** Images of all parts. */
  readonly images: number;
  /** Images by part: `coco train`, `nocaps out`. */
  readonly parts: Readonly<Record<string, number>>;
}

/**
 * Writes a shapes world as image files and the annotation files of the data sets that BLIP-2 is trained and measured with:
 * COCO captions (with Karpathy's splits), VQAv2, GQA, NoCaps, Flickr30K. Names, ids and fields are the official ones, but for
 * the images, which are PNG.
 *
 * The folder appears when all of it is there; a failure or an abort leaves nothing. Equal options give equal bytes, with the same
 * version of Node. Each part's scenes are the same however many the others have.
 *
 * @param folder - Nothing, or an empty folder.
 * @param options.onProgress - Counts bytes of decoded pixels.
 * @throws {InputError} for a seed, count or size that cannot be used.
 * @throws {CheckpointError} when the place is taken or cannot be written.
 * @throws {ResourceError} when the disk is full.
 * @throws the abort signal's reason.
 *
 * @example
 * await writeShapesWorld('shapes', { seed: 1, counts: shapesWorldCounts(1000) });
 */
export async function writeShapesWorld(folder: string, options: WriteShapesWorldOptions): Promise<ShapesWorldSummary> {
  const { seed, counts = shapesWorldCounts(), size = 128, abortSignal, onProgress } = options;
  if (!Number.isSafeInteger(seed)) {
    throw new InputError(`writeShapesWorld: seed is ${seed}, expected a whole number. Pass 1, or any other.`);
  }
  if (!Number.isSafeInteger(size) || size < 32) {
    throw new InputError(`writeShapesWorld: size is ${size}, expected a whole number of pixels, 32 or more. Pass 128.`);
  }
  const parts = partsOf(counts);
  abortSignal?.throwIfAborted();
  const images = Object.values(parts).reduce((sum, { count }) => sum + count, 0);
  const reporter = new ProgressReporter('run', images * size * size * 3, onProgress);
  const summary = { images, parts: Object.fromEntries(Object.values(parts).map(({ name, count }) => [name, count])) };
  await writeNewFolder(folder, async (temporary) => {
    const world = { folder: temporary, seed, size, parts, reporter, abortSignal };
    try {
      await writeCocoAndVqa(world);
      await writeGqa(world);
      await writeNoCaps(world);
      await writeFlickr30k(world);
      await writeFile(join(temporary, 'shapes-world.json'), `${JSON.stringify({ seed, size, counts }, undefined, 2)}\n`);
    } catch (cause) {
      abortSignal?.throwIfAborted();
      throw cause instanceof Error && 'syscall' in cause && !Blip2Error.isInstance(cause)
        ? fileProblem('write', folder, cause)
        : cause;
    }
  });
  reporter.complete('shapes-world.json');
  return summary;
}
