import type { Progress } from '@blip2/core';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import type { Output } from '../output.ts';

export const shapesCommand: Command = defineCommand({
  name: 'shapes',
  usage: 'shapes --out FOLDER [--seed N] [--count N] [options]',
  description:
    'Writes a world of coloured shapes: images with captions and questions, in the files of COCO, VQAv2, GQA, NoCaps and Flickr30K, for training and measuring without a download. Needs no model.',
  options: {
    out: { type: 'text', hint: 'FOLDER', description: 'folder to make' },
    seed: { type: 'integer', hint: 'N', description: 'equal seeds give equal files', default: 1 },
    count: {
      type: 'integer',
      hint: 'N',
      min: 1,
      description: 'images for training; validation, test and retrieval have a tenth of it each',
      default: 10_000,
    },
    size: { type: 'integer', hint: 'PIXELS', min: 32, description: 'side of the images', default: 128 },
  },
  common: ['json', 'help'],
  async run(positionals, { out, seed, count, size }, { output, abortSignal }) {
    if (positionals.length > 0) {
      throw new UsageError(`shapes takes no '${positionals[0]}': it reads nothing. Name the folder to make with --out.`);
    }
    if (out === undefined || out === '') throw new UsageError('No folder to write was named: pass --out FOLDER.');
    // Loaded here: the other verbs start without the data sets.
    const { shapesWorldCounts, writeShapesWorld } = await import('@blip2/datasets/node');
    const counts = shapesWorldCounts(count);
    const { images, parts } = await writeShapesWorld(out, { seed, counts, size, abortSignal, onProgress: listener(output) });
    const rows = Object.entries(parts).filter(([, part]) => part > 0);
    const lines = rows.map(([name, part]) => `  ${name.padEnd(16)} ${part.toLocaleString('en').padStart(10)}`);
    output.result({ out, seed, size, images, parts }, [`${out}: ${images.toLocaleString('en')} images`, ...lines].join('\n'));
    return 0;
  },
});

function listener(output: Output): (progress: Progress) => void {
  return ({ part, loadedBytes, totalBytes }) =>
    output.progress(`drawing ${part}`, totalBytes === 0 ? 1 : loadedBytes / totalBytes);
}
