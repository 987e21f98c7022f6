import { type Conversion, convertCheckpoint, type ConversionDtype, openCheckpoint } from '@blip2/checkpoints/node';
import type { Progress } from '@blip2/core';
import { exportOnnx } from 'blip2/node';
import { UsageError } from '../command-line.ts';
import { defineCommand, type Command } from '../command.ts';
import { type Output, progressListener } from '../output.ts';
import { modelNameOf, useBackend } from '../session.ts';

export const convertCommand: Command = defineCommand({
  name: 'convert',
  usage: 'convert [--model FOLDER|HUB-ID] --out FOLDER [--dtype int8|int4|fp16|bf16|fp32] [--onnx] [options]',
  description:
    'Writes a model in another format into a new folder: quantised, in another float format, in shards of another size, under other names of weights.',
  options: {
    onnx: {
      type: 'flag',
      description: 'write ONNX models, one for each function of the model, for any ONNX Runtime; fp32, int8 or int4',
    },
    out: { type: 'text', hint: 'FOLDER', description: 'folder to make' },
    dtype: {
      type: 'choice',
      choices: ['int8', 'int4', 'fp16', 'bf16', 'fp32'],
      description: 'format of the weights; int8 and int4 quantise the layers of the frozen parts; default: as they are',
    },
    blockSize: { type: 'integer', hint: 'N', description: 'weights that share a scale; default: 128 (int8), 32 (int4)', min: 16 },
    keep: { type: 'texts', hint: 'NAME…', description: 'weights that are not quantised, with * for any characters' },
    shardSize: { type: 'text', hint: 'SIZE', description: 'largest file of weights, such as 500MB; default: 5GB' },
    names: { type: 'choice', choices: ['hub', 'lavis'], description: "names of the weights: the Hub's or the original ones" },
  },
  async run(_, values, { output, abortSignal }) {
    const model = modelNameOf(values);
    const { out, blockSize, keep, names } = values;
    const dtype = values.dtype as ConversionDtype | undefined; // its own option has no default
    if (out === undefined || out === '') throw new UsageError('No folder to write was named: pass --out FOLDER.');
    if (values.onnx) return convertToOnnx(model, out, values, output, abortSignal);
    const maxShardBytes = values.shardSize === undefined ? undefined : parseSize(values.shardSize);
    if (dtype === undefined && names === undefined && maxShardBytes === undefined) {
      throw new UsageError(`Nothing to change was named: pass --dtype int8 or another format, --names or --shard-size.`);
    }
    const { revision, offline } = values;
    const checkpoint = await openCheckpoint(model, { revision, offline, abortSignal, onProgress: progressListener(output) });
    try {
      const options = { dtype, blockSize, keep, maxShardBytes, names: names as 'hub' | 'lavis' | undefined, abortSignal };
      const conversion = await convertCheckpoint(checkpoint, out, { ...options, onProgress: writingListener(output) });
      output.result({ out, files: conversion.files, ...conversion.summary }, describe(out, conversion));
      return 0;
    } finally {
      checkpoint.dispose();
    }
  },
});

interface OnnxValues {
  readonly dtype?: string;
  readonly revision?: string;
  readonly offline: boolean;
  readonly names?: string;
  readonly shardSize?: string;
  readonly keep?: readonly string[];
  readonly blockSize?: number;
}

/** `--onnx`: the functions of the stages as they are compiled. */
async function convertToOnnx(
  model: string,
  out: string,
  values: OnnxValues,
  output: Output,
  abortSignal: AbortSignal | undefined,
): Promise<0> {
  const { dtype = 'fp32', revision, offline } = values;
  const given = { names: values.names, shardSize: values.shardSize, keep: values.keep?.[0], blockSize: values.blockSize };
  const [other] = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (other !== undefined)
    throw new UsageError(
      `--onnx takes no --${other.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}. Leave it out.`,
    );
  if (dtype !== 'fp32' && dtype !== 'int8' && dtype !== 'int4') {
    throw new UsageError(`--onnx writes fp32, int8 or int4, not ${dtype}. Pass one of these with --dtype.`);
  }
  await useBackend('cpu'); // for the few tensors around the models
  const files = await exportOnnx(model, out, { dtype, revision, offline, abortSignal, onProgress: progressListener(output) });
  const names = files.map(({ name, file }) => `${file}: ${name}`);
  output.result(
    { out, files: [...files.map(({ file }) => file), 'models.json', 'weights.bin'] },
    [`${out}: ${files.length} models`, ...names].join('\n'),
  );
  return 0;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KB: 1e3, MB: 1e6, GB: 1e9 };

/** `500MB` → 500,000,000 */
function parseSize(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([kKMG]?B|)$/.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toUpperCase()] ?? 0));
  if (number !== '' && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UsageError(`--shard-size is '${text}', expected a size such as 500MB or 5GB.`);
}

function writingListener(output: Output): (progress: Progress) => void {
  return ({ part, loadedBytes, totalBytes }) => {
    output.progress(`writing ${part}`, totalBytes === 0 ? 1 : loadedBytes / totalBytes);
    if (loadedBytes >= totalBytes) output.endProgress();
  };
}

/** The figures for a person. */
function describe(out: string, { files, summary }: Conversion): string {
  const { dtype, parameters, quantizedParameters, quantizedMatrices, sourceBytes, storedBytes, relativeError, worst } = summary;
  const lines = [`${out}: ${files.length} files, ${size(storedBytes)} of weights; they were ${size(sourceBytes)}`];
  if (relativeError !== undefined && worst !== undefined) {
    const share = ((100 * quantizedParameters) / parameters).toFixed(1);
    lines.push(
      `${dtype}: ${quantizedMatrices} matrices with ${share} % of ${parameters.toLocaleString('en')} parameters`,
      `error: ${percent(relativeError)} of the weights, at most ${percent(worst.relativeError)} (${worst.name})`,
    );
  }
  return lines.join('\n');
}

function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(2)} %`;
}
