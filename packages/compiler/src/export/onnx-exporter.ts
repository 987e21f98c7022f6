import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type Engine, InputError, type PreparedFunction, type PrepareOptions, type WeightLocation } from '@blip2/core';
import { compileGraph, type Target } from '../compile.ts';
import { CompiledFunction } from '../compiled-function.ts';
import { ONNX_TYPE_BYTES, type OnnxGraph, type OnnxInitializer, type OnnxValue } from '../onnx/graph.ts';
import { writeModel } from '../onnx/write-model.ts';
import type { CompiledDtype } from '../quantize/policy.ts';

/** A model that was written, as `models.json` lists it. */
export interface ExportedModel {
  /** Of the function: `vision encoder`. */
  readonly name: string;
  /** Within the folder. */
  readonly file: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** Weights of all models of a folder lie in this file, each once. */
const WEIGHTS_FILE = 'weights.bin';

/** Where weights begin in it: at pages, as ONNX asks of data that is mapped. Source: onnx.proto3, `external_data`. */
const PAGE = 4096;

/** Constants of fewer bytes stay in the model. */
const SMALLEST_EXTERNAL = 1024;

/**
 * Writes functions as ONNX models into a new folder: `<function>.onnx` for each, their weights together in `weights.bin`, and
 * `models.json`, which lists inputs and outputs. Other runtimes read them: Python's onnxruntime, C++, other languages.
 *
 * It is an engine: give it to the loaders of stages, and what they prepare is written, and runs.
 */
export class OnnxExporter {
  readonly engine: Engine;
  readonly #folder: string;
  /** Becomes `#folder` when all is done. */
  readonly #unfinished: string;
  readonly #models: ExportedModel[] = [];
  readonly #weights: WeightsFile;

  private constructor(folder: string, unfinished: string, weights: WeightsFile, target: Target, dtype: CompiledDtype) {
    this.#folder = folder;
    this.#unfinished = unfinished;
    this.#weights = weights;
    this.engine = {
      name: `${target.runtime.name}, ${dtype}, exporting`,
      prepare: (compute, options) => this.#prepare(target, dtype, compute, options),
      gatherRows: (tensor, rows) => target.runtime.gatherRows(tensor, rows),
    };
  }

  /**
   * @param folder - Must not exist.
   * @throws {InputError} when it exists.
   */
  static async create(folder: string, target: Target, dtype: CompiledDtype = 'fp32'): Promise<OnnxExporter> {
    const place = resolve(folder);
    const exists = await stat(place).then(
      () => true,
      () => false,
    );
    if (exists) throw new InputError(`The folder ${folder} exists, expected a new one. Name another, or remove it first.`);
    const unfinished = join(dirname(place), `.${randomUUID()}.unfinished`);
    await mkdir(unfinished, { recursive: true });
    return new OnnxExporter(place, unfinished, await WeightsFile.create(join(unfinished, WEIGHTS_FILE)), target, dtype);
  }

  /** Puts the folder in its place. @returns what was written. */
  async finish(): Promise<readonly ExportedModel[]> {
    await this.#weights.close();
    await writeFile(join(this.#unfinished, 'models.json'), `${JSON.stringify({ models: this.#models }, null, 2)}\n`);
    await rename(this.#unfinished, this.#folder);
    return this.#models;
  }

  /** Removes what was written, unless it is finished. */
  async dispose(): Promise<void> {
    await this.#weights.close();
    await rm(this.#unfinished, { recursive: true, force: true });
  }

  async #prepare<Params, Inputs, Outputs>(
    target: Target,
    dtype: CompiledDtype,
    compute: (params: Params, inputs: Inputs) => Outputs,
    { name, params, inputs, quantize = 'never', samples, abortSignal, onProgress }: PrepareOptions<Params, Inputs>,
  ): Promise<PreparedFunction<Inputs, Outputs>> {
    const swapped = (tensors: Inputs, weights: Params): Outputs => compute(weights, tensors);
    const options = { name, inputs, weights: params, dtype, quantize, samples, abortSignal, onProgress };
    const { graph, signature, settings } = await compileGraph(target, swapped, options);
    const file = `${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.onnx`;
    const stored = await this.#weights.store(graph, abortSignal);
    await writeFile(join(this.#unfinished, file), writeModel(stored, { externalPath: () => WEIGHTS_FILE }));
    this.#models.push({ name, file, inputs: graph.inputs, outputs: graph.outputs });
    const session = await target.runtime.createSession(graph, settings);
    return new CompiledFunction(name, signature, session, { exportGraph: () => Promise.resolve(graph) });
  }
}

/** Weights of several models, one after the other, equal ones once. */
class WeightsFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #places: Map<string, WeightLocation> = new Map();
  #end = 0;
  #closed = false;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(path: string): Promise<WeightsFile> {
    return new WeightsFile(path, await open(path, 'wx'));
  }

  /** The same graph with its weights in this file. */
  async store(graph: OnnxGraph, abortSignal?: AbortSignal): Promise<OnnxGraph> {
    const initializers: OnnxInitializer[] = [];
    for (const initializer of graph.initializers) {
      abortSignal?.throwIfAborted();
      const { name, type, shape, bytes } = initializer;
      const isSmall = bytes !== undefined && bytes.length < SMALLEST_EXTERNAL;
      initializers.push(isSmall ? initializer : { name, type, shape, location: await this.#place(initializer) });
    }
    return { ...graph, initializers };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  async #place({ type, shape, bytes, location }: OnnxInitializer): Promise<WeightLocation> {
    const key = location && `${location.file}:${location.byteOffset}:${location.byteLength}`;
    const known = key === undefined ? undefined : this.#places.get(key);
    if (known !== undefined) return known;
    const byteOffset = PAGE * Math.ceil(this.#end / PAGE);
    const byteLength = shape.reduce((product, size) => product * size, ONNX_TYPE_BYTES[type]);
    let position = byteOffset;
    for await (const piece of bytes === undefined ? readPieces(location!) : [bytes]) {
      await this.#write(piece, position);
      position += piece.length;
    }
    this.#end = position;
    const place = { file: this.#path, byteOffset, byteLength };
    if (key !== undefined) this.#places.set(key, place);
    return place;
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.#handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
    }
  }
}

function readPieces({ file, byteOffset, byteLength }: WeightLocation): AsyncIterable<Uint8Array> {
  if (byteLength === 0) return (async function* nothing() {})();
  return createReadStream(file, { start: byteOffset, end: byteOffset + byteLength - 1, highWaterMark: 4 * 1024 * 1024 });
}
