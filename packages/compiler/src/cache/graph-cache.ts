import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { type HostTensor, leavesOf, type RunOptions, type Weight, type WeightLocation } from '@blip2/core';
import type { OnnxGraph } from '../onnx/graph.ts';
import type { NodeRuntime } from '../runtime/node-runtime.ts';
import type { RuntimeSession, SessionOptions } from '../runtime/runtime.ts';
import { locateWeightFiles } from '../runtime/weight-files.ts';
import { flattenTree } from '../tree.ts';
import { type FunctionKey, type FunctionRecord, GRAPH_FORMAT, type GraphStore, type StoredFunction } from './graph-store.ts';

/** A file that a stored graph refers to, as it was then. */
interface FileState {
  readonly file: string;
  /** The bytes of it that the graph needs. */
  readonly end: number;
  readonly sizeBytes: string;
  /** Absent for the cache's own files: their names say what they hold, and their time when they were last used. */
  readonly changedNs?: string;
}

/** What `entry.json` holds, beside its own hash. */
interface Entry extends FunctionRecord {
  readonly modelHash: string;
  /** Whether ONNX Runtime has rearranged the model. */
  readonly isOptimized: boolean;
  readonly prepack: boolean | undefined;
  readonly files: readonly FileState[];
}

/**
 * Compiled graphs in a folder, one folder each: `<cache>/graphs-<format>/<key>/model.onnx` and `entry.json`. A second start skips tracing and graph
 * optimisation. Entries are written beside their place and renamed into it; one that is damaged, or whose files of weights have
 * changed, counts as missing and is written again.
 */
export class GraphCache implements GraphStore {
  readonly #cacheFolder: string;
  readonly #root: string;
  readonly #runtime: NodeRuntime;

  /**
   * @param cacheFolder - Made when the first graph is stored; converted weights lie there as well.
   * @param runtime - Stays the caller's.
   */
  constructor(cacheFolder: string, runtime: NodeRuntime) {
    this.#cacheFolder = resolve(cacheFolder);
    this.#root = join(this.#cacheFolder, `graphs-${GRAPH_FORMAT}`);
    this.#runtime = runtime;
  }

  async keyOf({ weights, samples, ...rest }: FunctionKey): Promise<string | undefined> {
    const leaves = flattenTree<Weight>(weights);
    const files = await this.#statesOf(locationsOf(leavesOf(weights) as Weight[]));
    // Nothing says whether computed weights are the same, unless they come from files.
    if (files === undefined || (leaves.length > 0 && files.length === 0)) return undefined;
    const described = leaves.map(({ path, leaf: { name, dtype, shape, location, quantized } }) => {
      return [path, name, dtype, shape, location ?? null, quantized?.bits ?? null, quantized?.blockSize ?? null];
    });
    const all = {
      format: GRAPH_FORMAT,
      runtime: this.#runtime.name,
      processor: [process.arch, cpus()[0]?.model ?? ''],
      ...rest,
      weights: described,
      samples: flattenTree<HostTensor>(samples).map(({ path, leaf: { shape, data } }) => [path, shape, sha256(bytesOf(data))]),
      files,
    };
    return sha256(JSON.stringify(all)).slice(0, 40);
  }

  async load(
    key: string,
    options: { readonly name: string } & Pick<RunOptions, 'abortSignal'>,
  ): Promise<StoredFunction | undefined> {
    const found = await this.#read(key);
    if (found === undefined) return undefined;
    const { entry, model } = found;
    const weightFolder = entry.files.length === 0 ? undefined : (await locateWeightFiles(entry.files.map(toLocation))).folder;
    await this.#markUsed([...entry.files.map(({ file }) => file), join(this.#root, key, 'entry.json')]);
    try {
      const { isOptimized, prepack } = entry;
      const session = await this.#runtime.loadModel(model, { ...options, weightFolder, isOptimized, prepack });
      return { signature: entry.signature, report: entry.report, session };
    } catch {
      options.abortSignal?.throwIfAborted();
      return undefined; // what ONNX Runtime refuses although its hash is right is built again
    }
  }

  async createSession(key: string, graph: OnnxGraph, record: FunctionRecord, options: SessionOptions): Promise<RuntimeSession> {
    const locations = graph.initializers.flatMap(({ location }) => location ?? []);
    const located = locations.length === 0 ? undefined : await locateWeightFiles(locations);
    const model = this.#runtime.writeModel(graph, { externalPath: located?.pathOf });
    // Other providers rearrange graphs for themselves, in ways that a file does not hold.
    const isOptimized = this.#runtime.provider === 'cpu';
    const folder = await this.#newFolder();
    const path = folder && join(folder, 'model.onnx');
    try {
      const optimizedModelFile = isOptimized ? path : undefined;
      const session = await this.#runtime.loadModel(model, { ...options, weightFolder: located?.folder, optimizedModelFile });
      if (folder !== undefined && path !== undefined) {
        if (!isOptimized) await writeFile(path, model).catch(() => undefined);
        await this.#keep(folder, key, {
          ...record,
          isOptimized,
          prepack: options.prepack,
          files: (await this.#statesOf(locations)) ?? [],
        });
      }
      return session;
    } finally {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    }
  }

  /** Sizes and times of files, links resolved; `undefined` when one is missing or is no file of this machine. */
  async #statesOf(locations: readonly WeightLocation[]): Promise<FileState[] | undefined> {
    const ends = new Map<string, number>();
    for (const { file, byteOffset, byteLength } of locations)
      ends.set(file, Math.max(ends.get(file) ?? 0, byteOffset + byteLength));
    try {
      return await Promise.all(
        [...ends].map(async ([file, end]): Promise<FileState> => {
          const { size, mtimeNs } = await stat(await realpath(file), { bigint: true });
          return { file, end, sizeBytes: String(size), ...(this.#isOwn(file) ? {} : { changedNs: String(mtimeNs) }) };
        }),
      );
    } catch {
      return undefined;
    }
  }

  #isOwn(file: string): boolean {
    return resolve(file).startsWith(this.#cacheFolder + sep);
  }

  /** What is used is not removed; see `ConvertedWeights`. */
  async #markUsed(files: readonly string[]): Promise<void> {
    const now = new Date();
    for (const file of files.filter((one) => this.#isOwn(one))) await utimes(file, now, now).catch(() => undefined);
  }

  /** A folder to write in, or `undefined` where nothing can be written: a cache must not stop the work. */
  async #newFolder(): Promise<string | undefined> {
    const folder = join(this.#root, `.new-${process.pid}-${randomUUID()}`);
    try {
      await mkdir(folder, { recursive: true });
      return folder;
    } catch {
      return undefined;
    }
  }

  /** Moves a folder to its place. Another process may have been faster, with the same content. */
  async #keep(folder: string, key: string, rest: Omit<Entry, 'modelHash'>): Promise<void> {
    try {
      const entry: Entry = { ...rest, modelHash: sha256(await readFile(join(folder, 'model.onnx'))) };
      const body = JSON.stringify(entry);
      await writeFile(join(folder, 'entry.json'), JSON.stringify({ hash: sha256(body), body }));
      const place = join(this.#root, key);
      await rm(place, { recursive: true, force: true });
      await rename(folder, place);
    } catch {
      // A full or read-only disk: the next start compiles again.
    }
  }

  /** An entry that is whole and whose files are as they were. */
  async #read(key: string): Promise<{ entry: Entry; model: Uint8Array } | undefined> {
    try {
      const { hash, body } = JSON.parse(await readFile(join(this.#root, key, 'entry.json'), 'utf8')) as {
        hash: string;
        body: string;
      };
      if (sha256(body) !== hash) return undefined;
      const entry = JSON.parse(body) as Entry;
      const model = await readFile(join(this.#root, key, 'model.onnx'));
      if (sha256(model) !== entry.modelHash) return undefined;
      const now = await this.#statesOf(entry.files.map(toLocation));
      return JSON.stringify(now) === JSON.stringify(entry.files) ? { entry, model } : undefined;
    } catch {
      return undefined; // missing, unreadable or no JSON: all the same as never stored
    }
  }
}

function locationsOf(weights: readonly Weight[]): WeightLocation[] {
  return weights.flatMap(({ location, quantized }) =>
    [location, quantized?.codes.location, quantized?.scales.location].flatMap((place) => place ?? []),
  );
}

/** As much of a file as a graph needs. */
function toLocation({ file, end }: FileState): WeightLocation {
  return { file, byteOffset: 0, byteLength: end };
}

function bytesOf(data: HostTensor['data']): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
