import { createReadStream } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { DatasetError, InputError } from '@blip2/core';
import { checkEntry, textField } from '@blip2/core/json';
import { fileProblem } from '@blip2/core/node';
import { CsvError, type Info, parse } from 'csv-parse';
import * as z from 'zod/mini';
import { indexedDataset } from '../records/indexed-dataset.ts';
import { BrokenRows } from '../records/broken-rows.ts';
import type { IndexedDataset, ReadOptions } from '../records/record.ts';
import { assertImageName, imagePaths, readImageFile } from './image-files.ts';
import { type RecordTexts, textsOf } from './row-fields.ts';

/** Options of {@link readFolder}. */
export interface FolderReaderOptions extends ReadOptions {
  /** What the data set is called: image keys begin with it, so two data sets must not share it. @default the folder's name */
  readonly name?: string;
  /** The folder that names of images are relative to. @default the folder of the table */
  readonly images?: string;
  /** Takes the rows of one split alone. @default all of them */
  readonly split?: string;
  /** What share of the rows may be broken; they are left out. One row alone may be, unless this is 0. @default 0 */
  readonly maxBrokenShare?: number;
  /** Told what is wrong with each row that is left out, in order. */
  readonly onBroken?: (problem: DatasetError) => void;
}

/** Looked for in a folder, in this order; the first two as Hugging Face calls them. */
const TABLES = ['metadata.jsonl', 'metadata.csv', 'captions.jsonl', 'captions.csv', 'data.jsonl', 'data.csv'];

const imageField = z.object(
  { image: z.nullish(textField), file_name: z.nullish(textField) },
  'expected an object with image or file_name',
);

/** A line of a CSV file may have so many characters, as a guard against a quote that is never closed. */
const LARGEST_CSV_ROW = 2 ** 24;

interface Row {
  readonly image: string;
  readonly line: number;
  readonly texts: RecordTexts;
}

/**
 * Images in a folder and a table of what is said of them: JSON lines or CSV, with the columns `image` or `file_name`; `caption`,
 * `captions` or `text`; `question`, `question_id`, `answer` or `answers`; `split`. Other columns are not read. In CSV a list is written as
 * JSON, `["a dog", "two dogs"]`.
 *
 * @param path - A `.jsonl` or `.csv` file, or a folder with `metadata.jsonl`, `captions.jsonl`, `data.jsonl` or one of these as `.csv` in it.
 * @returns a row a line, `name:line`; rows of one image share its key, `name:image`.
 * @throws {DatasetError} naming file and line, when the table is missing or malformed or an image's name leads out of the folder.
 * @throws the abort signal's reason.
 *
 * @example
 * const pets = await readFolder('pets'); // pets/metadata.jsonl: {"image": "rex.jpg", "caption": "a dog on a beach"}
 */
export async function readFolder(path: string, options: FolderReaderOptions = {}): Promise<IndexedDataset> {
  const table = await findTable(path);
  const folder = options.images ?? dirname(table);
  const name = options.name ?? basename(resolve(folder));
  const rows: Row[] = [];
  const broken = brokenRowsOf(name, options);
  const addRow = (value: unknown, line: number): void => {
    const place = `line ${line}`;
    const { image, file_name: fileName } = checkEntry(imageField, value, table, place);
    const imageName = image ?? fileName;
    if (imageName == null || imageName === '') {
      throw new DatasetError(`${table}: ${place}: names no image, expected one in 'image' or 'file_name'. Add it.`, table);
    }
    assertImageName(imageName, table, place);
    const texts = textsOf(value, `${name}:${line}`, table, place);
    if (options.split === undefined || texts.split === options.split) rows.push({ image: imageName, line, texts });
  };
  let lines = 0;
  const onRow: OnRow = (row, line) => {
    lines++;
    try {
      addRow(row(), line);
    } catch (cause) {
      if (!DatasetError.isInstance(cause) || broken === undefined) throw cause;
      broken.add({ key: undefined, index: lines - 1, cause });
    }
  };
  await (extname(table).toLowerCase() === '.csv' ? readCsv : readJsonLines)(table, onRow, options);
  broken?.assertShare(lines);
  if (rows.length === 0) {
    const wanted = options.split === undefined ? 'rows' : `rows of the split '${options.split}'`;
    throw new DatasetError(`${table}: has no ${wanted}, expected at least one. Check the file.`, table);
  }
  return indexedDataset(name, rows.length, (index) => {
    const { image, line, texts } = rows[index]!;
    const readImage = (read?: ReadOptions): Promise<Uint8Array> => readImageFile(folder, [image], read);
    return {
      key: `${name}:${line}`,
      imageKey: `${name}:${image}`,
      imageId: image,
      readImage,
      imageFiles: imagePaths(folder, [image]),
      ...texts,
    };
  });
}

/** Nothing where no row may be broken: the first problem is thrown as it is. */
function brokenRowsOf(name: string, { maxBrokenShare: maxShare = 0, onBroken }: FolderReaderOptions): BrokenRows | undefined {
  if (!(maxShare >= 0 && maxShare <= 1)) {
    throw new InputError(`readFolder: maxBrokenShare is ${maxShare}, expected a number in [0, 1]. 0.01 is one in a hundred.`);
  }
  if (maxShare === 0) return undefined;
  return new BrokenRows({
    where: `readFolder: ${name}`,
    maxShare,
    onBroken: ({ cause }) => onBroken?.(cause as DatasetError),
  });
}

async function findTable(path: string): Promise<string> {
  if (/\.(jsonl|csv)$/i.test(path)) return path;
  for (const name of TABLES) {
    const table = join(path, name);
    const isThere = await access(table).then(
      () => true,
      () => false,
    );
    if (isThere) return table;
  }
  throw new DatasetError(
    `${path}: is no .jsonl or .csv file, nor a folder with one of ${TABLES.join(', ')} in it. Write one line an image, such as ` +
      `{"image": "rex.jpg", "caption": "a dog on a beach"}.`,
    path,
  );
}

/** @param row - Gives the row's value, or throws what is wrong with it. */
type OnRow = (row: () => unknown, line: number) => void;

async function readJsonLines(path: string, onRow: OnRow, { abortSignal }: ReadOptions): Promise<void> {
  const file = await open(path).catch((cause: unknown) => {
    throw fileProblem(path, cause);
  });
  try {
    let number = 0;
    for await (const line of file.readLines()) {
      abortSignal?.throwIfAborted();
      number++;
      const content = number === 1 ? line.replace(/^\uFEFF/, '') : line;
      if (content.trim() !== '') onRow(() => parseLine(content, path, number), number);
    }
  } catch (cause) {
    throw fileProblem(path, cause);
  } finally {
    await file.close();
  }
}

function parseLine(line: string, path: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new DatasetError(`${path}: line ${number}: is broken JSON, expected one object a line. Correct the line.`, path, {
      cause,
    });
  }
}

async function readCsv(path: string, onRow: OnRow, { abortSignal }: ReadOptions): Promise<void> {
  const problems: DatasetError[] = [];
  const parser = parse({
    bom: true,
    columns: true,
    info: true,
    skip_empty_lines: true,
    max_record_size: LARGEST_CSV_ROW,
    skip_records_with_error: true,
    on_skip: (cause) => {
      if (cause?.code !== 'CSV_RECORD_INCONSISTENT_COLUMNS') throw cause; // where the next row begins nobody knows
      problems.push(brokenCsv(path, cause));
      return undefined;
    },
  });
  const input = createReadStream(path, { signal: abortSignal });
  input.on('error', (cause) => parser.destroy(cause)); // `pipe` does not pass errors on
  try {
    for await (const { record, info } of input.pipe(parser) as AsyncIterable<{ record: Record<string, string>; info: Info }>) {
      onRow(() => withLists(record), info.lines);
    }
    for (const problem of problems) {
      onRow(() => {
        throw problem;
      }, 0);
    }
  } catch (cause) {
    abortSignal?.throwIfAborted(); // with the caller's reason
    if (!(cause instanceof CsvError)) throw fileProblem(path, cause);
    throw brokenCsv(path, cause);
  } finally {
    input.destroy();
  }
}

function brokenCsv(path: string, cause: CsvError): DatasetError {
  return new DatasetError(
    `${path}: is broken CSV: ${cause.message}. Correct the line; a quote in a quoted field is written twice.`,
    path,
    { cause },
  );
}

/** Fields of lists are written as JSON; an empty field is none. */
function withLists(record: Readonly<Record<string, string>>): Record<string, unknown> {
  const fields = Object.entries(record).map(([name, field]): [string, unknown] => {
    if (field === '') return [name, undefined];
    if (!field.startsWith('[') || !/^(captions?|text|answers?)$/.test(name)) return [name, field];
    try {
      return [name, JSON.parse(field)];
    } catch {
      return [name, field]; // a caption that begins with a bracket
    }
  });
  return Object.fromEntries(fields);
}
