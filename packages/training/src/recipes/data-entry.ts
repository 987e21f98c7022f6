import type { Schema } from '@blip2/core/config';
import * as z from 'zod/mini';
import { strictFields } from './strict-fields.ts';

/** How often a source is drawn, in proportion to the others. */
interface Weighted {
  /** @default the number of its rows */
  readonly weight?: number;
}

/** A folder of images with a table of what is said of them; `readFolder` of `@blip2/datasets`. */
export interface FolderEntry extends Weighted {
  readonly format: 'folder';
  /** The folder, or its `.jsonl` or `.csv` file. */
  readonly path: string;
  readonly images?: string;
  readonly name?: string;
  readonly split?: string;
}

/** Captions in a file of a known data set, with its images in a folder. */
export interface CaptionsEntry extends Weighted {
  readonly format: 'coco' | 'flickr30k' | 'visual-genome' | 'nocaps';
  readonly path: string;
  readonly images: string;
  readonly split?: string;
}

/** Questions in files of a known data set. */
export interface QuestionsEntry extends Weighted {
  readonly format: 'vqav2' | 'gqa' | 'visual-genome-questions';
  /** One file, or for GQA several. */
  readonly path: string | readonly string[];
  readonly images: string;
  /** VQAv2: the file of answers. */
  readonly annotations?: string;
  /** Visual Genome: what its one answer weighs. */
  readonly answerWeight?: number;
}

/** Shards of a WebDataset. */
export interface WebDatasetEntry extends Weighted {
  readonly format: 'webdataset';
  /** Paths or patterns: `cc3m/{00000..00331}.tar`. */
  readonly path: string | readonly string[];
  readonly name?: string;
  /** Records in all shards, where it is known: epochs are counted by it. */
  readonly length?: number;
}

/** Where records come from. */
export type DataEntry = FolderEntry | CaptionsEntry | QuestionsEntry | WebDatasetEntry;

const path: Schema<string> = z.string('expected a path').check(z.minLength(1, 'expected a path'));
const paths: Schema<string | readonly string[]> = z.union([path, z.array(path)], 'expected a path or a list of paths');
const weight: Schema<number | undefined> = z.optional(z.number('expected a number').check(z.gt(0, 'expected a number above 0')));
const word: Schema<string | undefined> = z.optional(z.string('expected a text'));
const captions = { path, images: path, split: word, weight };

const FORMATS: Readonly<Record<DataEntry['format'], Readonly<Record<string, Schema<unknown>>>>> = {
  folder: { path, images: z.optional(path), name: word, split: word, weight },
  coco: captions,
  flickr30k: captions,
  'visual-genome': { path, images: path, weight },
  nocaps: { path, images: path, weight },
  vqav2: { path, images: path, annotations: z.optional(path), weight },
  gqa: { path: paths, images: path, weight },
  'visual-genome-questions': {
    path,
    images: path,
    answerWeight: z.optional(z.number('expected a number').check(z.gt(0, 'expected a number above 0'))),
    weight,
  },
  webdataset: {
    path: paths,
    name: word,
    length: z.optional(z.int('expected a whole number').check(z.gte(1, 'expected 1 or more'))),
    weight,
  },
};

/** The formats that a recipe can name. */
export const DATA_FORMATS: readonly DataEntry['format'][] = Object.keys(FORMATS) as DataEntry['format'][];

const SCHEMAS: ReadonlyMap<string, Schema<unknown>> = new Map(
  Object.entries(FORMATS).map(([format, fields]) => [format, strictFields({ format: z.literal(format), ...fields })]),
);

/** One source: a path alone is a folder, or its table. */
export const dataEntry: Schema<DataEntry> = z.transform((given: unknown, context: z.core.ParsePayload): DataEntry => {
  const entry = typeof given === 'string' ? { format: 'folder', path: given } : given;
  const fail = (message: string, input: unknown, at: PropertyKey[]): never => {
    context.issues.push({ code: 'custom', message, input, path: at });
    return z.NEVER;
  };
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
    return fail('expected a path, or an object with a format and its paths', given, []);
  const { format } = entry as { readonly format?: unknown };
  const schema = typeof format === 'string' ? SCHEMAS.get(format) : undefined;
  if (schema === undefined) return fail(`expected one of ${DATA_FORMATS.join(', ')}`, format, ['format']);
  const result = z.safeParse(schema, entry, { reportInput: true });
  if (!result.success) {
    for (const issue of result.error.issues) context.issues.push(issue as z.core.$ZodRawIssue);
    return z.NEVER;
  }
  return result.data as DataEntry;
});
