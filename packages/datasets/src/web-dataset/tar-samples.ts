import { open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { DatasetError } from '@blip2/core';
import { fileProblem } from '@blip2/core/node';
import { createTarDecoder, type ParsedTarEntry } from 'modern-tar';

/** Members with one name up to the first dot: `00012.jpg`, `00012.txt`, `00012.json`. */
export interface Sample {
  /** The name up to the first dot of its last part, folders included. */
  readonly key: string;
  /** Contents by ending, lower case and without a dot; only the endings that are wanted. */
  readonly fields: Map<string, Uint8Array>;
  /** All endings, for messages. */
  readonly endings: string[];
  /** The first thing that is wrong with it. */
  problem?: DatasetError;
}

/** How {@link readSamples} reads. */
export interface SampleOptions {
  /** So many samples are passed over: their contents are not kept, and they do not come. */
  readonly skip: number;
  /** Whether contents with this ending are wanted. */
  readonly isWanted: (ending: string) => boolean;
  /** Contents may have so many bytes. */
  readonly maxBytes: number;
}

/** As WebDataset takes names apart: folders, a name without dots, and all endings. Names that begin with a dot have none. */
const NAME = /^((?:.*\/)?[^./][^./]*)\.([^/]*)$/;

const PIECE_BYTES = 2 ** 20;

/**
 * The samples of a tar file, plain or gzipped, in order. A file that breaks off or is damaged gives what comes before, then an
 * error, and ends.
 *
 * Source: WebDataset (github.com/webdataset/webdataset), `tarfile_samples` and `group_by_keys`.
 */
export async function* readSamples(path: string, options: SampleOptions): AsyncGenerator<Sample | DatasetError, void, undefined> {
  let sample: Sample | undefined;
  let number = -1;
  try {
    for await (const entry of await openTar(path)) {
      const [, key, ending] = (isFile(entry) && NAME.exec(entry.header.name.replace(/^(\.\/)+/, ''))) || [];
      if (key === undefined || ending === undefined) {
        await entry.body.cancel();
        continue;
      }
      if (key !== sample?.key) {
        if (sample !== undefined && number >= options.skip) yield sample;
        sample = { key, fields: new Map(), endings: [] };
        number++;
      }
      await addField(sample, ending.toLowerCase(), entry, path, number < options.skip ? skipping : options);
    }
  } catch (cause) {
    // The sample that it happened in may lack members: it is given up.
    if (Math.max(number, 0) >= options.skip) yield brokenShard(path, cause);
    return;
  }
  if (sample !== undefined && number >= options.skip) yield sample;
}

const skipping: Pick<SampleOptions, 'isWanted' | 'maxBytes'> = { isWanted: () => false, maxBytes: Infinity };

async function addField(
  sample: Sample,
  ending: string,
  entry: ParsedTarEntry,
  path: string,
  { isWanted, maxBytes }: Pick<SampleOptions, 'isWanted' | 'maxBytes'>,
): Promise<void> {
  const { name, size } = entry.header;
  const problem = (what: string): DatasetError => new DatasetError(`${path}: '${name}' ${what}`, path);
  if (sample.endings.includes(ending)) {
    sample.problem ??= problem('comes twice in a row, expected one member of each ending. Write the shard again.');
  } else if (isWanted(ending) && size > maxBytes) {
    sample.problem ??= problem(`has ${size} bytes, expected at most ${maxBytes}. Check the shard.`);
  } else if (isWanted(ending)) {
    sample.fields.set(ending, new Uint8Array(await new Response(entry.body).arrayBuffer()));
  }
  sample.endings.push(ending);
  if (!sample.fields.has(ending)) await entry.body.cancel();
}

function isFile({ header: { type } }: ParsedTarEntry): boolean {
  return type === undefined || type === 'file';
}

async function openTar(path: string): Promise<ReadableStream<ParsedTarEntry>> {
  const file = await open(path);
  let bytes: Readable;
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(2), 0, 2, 0);
    const isGzip = bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b;
    const input = file.createReadStream({ start: 0, highWaterMark: PIECE_BYTES }); // closes the file
    // Errors come out of the end of the pipeline, where they are read.
    bytes = isGzip ? pipeline(input, createGunzip({ chunkSize: PIECE_BYTES }), () => undefined) : input;
  } catch (cause) {
    await file.close();
    throw cause;
  }
  return (Readable.toWeb(bytes) as ReadableStream<Uint8Array>).pipeThrough(createTarDecoder({ strict: true }));
}

function brokenShard(path: string, cause: unknown): DatasetError {
  const known = fileProblem(path, cause);
  if (DatasetError.isInstance(known)) return known;
  const detail = (cause instanceof Error ? cause.message.replace(/\.$/, '') : '') || 'it breaks off';
  return new DatasetError(`${path}: is no complete tar file: ${detail}. Download or copy it again.`, path, { cause });
}
