import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { CheckpointError, ProgressReporter, type RunOptions, sizeOf, type WeightLocation } from '@blip2/core';
import { ONNX_TYPE_BYTES, type OnnxInitializer } from '../onnx/graph.ts';
import { convertWeight } from '../weights/convert-weight.ts';
import {
  bytesOf,
  splitQuantized,
  STORED_TYPES,
  type WeightForm,
  type WeightPart,
  type WeightRequest,
  type WeightStore,
} from '../weights/weight-store.ts';
import { compilerCacheFolder } from './cache-folder.ts';
import { ConvertedWeights } from './converted-weights.ts';
import { type SourceFile, SourceFiles } from './source-files.ts';

/** Where converted weights are kept. */
export interface FileWeightStoreOptions {
  /** @default `$BLIP2_CACHE`, else `$XDG_CACHE_HOME/blip2`, else `~/.cache/blip2` */
  readonly cacheFolder?: string;
}

/** Converted weights of no file stay in the graph when they are not larger: a file and a mapping cost more. */
const LARGEST_INLINE = 1024 * 1024;

/**
 * Weights in files that ONNX Runtime maps: the checkpoint's own where it holds the numbers in the wished form, else a
 * cache of converted ones. JavaScript holds one weight at a time, and only while it is converted.
 */
export class FileWeightStore implements WeightStore {
  readonly #converted: ConvertedWeights;
  /** Calls are one after the other: two graphs that are made at once mostly want the same weights. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor({ cacheFolder = compilerCacheFolder() }: FileWeightStoreOptions = {}) {
    this.#converted = new ConvertedWeights(cacheFolder);
  }

  /**
   * @throws {ResourceError} when the cache cannot be written. @throws {CheckpointError} when a weight cannot be read.
   * @throws {InputError} for values that cannot be quantised.
   */
  place(requests: readonly WeightRequest[], options: RunOptions = {}): Promise<OnnxInitializer[]> {
    const placed = this.#queue.then(() => this.#place(requests, options));
    this.#queue = placed.catch(() => undefined);
    return placed;
  }

  async read({ file, byteOffset, byteLength }: WeightLocation): Promise<Uint8Array> {
    const handle = await open(file);
    try {
      const bytes = new Uint8Array(byteLength);
      for (let done = 0; done < byteLength;) {
        const { bytesRead } = await handle.read(bytes, done, byteLength - done, byteOffset + done);
        if (bytesRead === 0)
          throw new CheckpointError(
            `${file} ends at ${byteOffset + done}, expected values up to ${byteOffset + byteLength}. Fetch it again.`,
            file,
          );
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  }

  async #place(requests: readonly WeightRequest[], options: RunOptions): Promise<OnnxInitializer[]> {
    options.abortSignal?.throwIfAborted();
    const sources = new SourceFiles();
    const planned: PlannedWeight[] = [];
    for (const request of requests.flatMap(splitQuantized)) planned.push(await planWeight(request, sources, options));
    const initializers = new Map<string, OnnxInitializer>();
    for (const { request, direct } of planned) {
      if (direct !== undefined) initializers.set(request.names[0]!, { name: request.names[0]!, ...direct });
    }
    const total = planned.reduce((sum, { request, direct }) => sum + (direct === undefined ? bytesOf(request) : 0), 0);
    const progress = new ProgressReporter('load', total, options.onProgress);
    await this.#placeOfFiles(planned, initializers, progress, options);
    for (const { request, direct, source } of planned) {
      if (direct !== undefined || source !== undefined) continue;
      addParts(initializers, request, await this.#placeComputed(request, options));
      progress.add(request.weight.name, bytesOf(request));
    }
    if (total > 0) progress.complete('weights');
    return requests.flatMap(({ names }) => names.map((name) => initializers.get(name)!));
  }

  /** Weights whose file is known: what the cache has of them is found without reading any. */
  async #placeOfFiles(
    planned: readonly PlannedWeight[],
    initializers: Map<string, OnnxInitializer>,
    progress: ProgressReporter,
    options: RunOptions,
  ): Promise<void> {
    const groups = Map.groupBy(
      planned.filter(({ direct, source }) => direct === undefined && source !== undefined),
      ({ source }) => source!.identity,
    );
    for (const [identity, group] of groups) {
      const names = new Map(group.map(({ key, request }) => [key, request.weight.name]));
      const places = await this.#converted.place(
        identity,
        group.map(({ key, request: { weight, form } }) => ({ key, convert: () => convertWeight(weight, form, options) })),
        { abortSignal: options.abortSignal, onConverted: (key, bytes) => progress.add(names.get(key)!, bytes) },
      );
      for (const { key, request } of group) addParts(initializers, request, places.get(key)!);
    }
  }

  /** A weight that is no file's: it has to be read to be known, and is kept by its content. */
  async #placeComputed({ weight, form }: WeightRequest, options: RunOptions): Promise<readonly PlacedPart[]> {
    const parts = await convertWeight(weight, form, options);
    if (parts.every(({ bytes }) => bytes.length <= LARGEST_INLINE)) return parts;
    const hash = createHash('sha256');
    for (const { type, shape, bytes } of parts) hash.update(`${type} ${shape.join(' ')}\n`).update(bytes);
    const key = hash.digest('hex').slice(0, 32);
    const places = await this.#converted.place(`computed-${key}`, [{ key, convert: async () => parts }], options);
    return places.get(key)!;
  }
}

/** What a request needs. */
interface PlannedWeight {
  readonly request: WeightRequest;
  /** The checkpoint's own numbers, where they can be used as they lie. */
  readonly direct: Omit<OnnxInitializer, 'name'> | undefined;
  /** The file that the weight lies in, if any. */
  readonly source: SourceFile | undefined;
  /** What a conversion depends on besides that file. */
  readonly key: string;
}

/** A part in memory or in a file. */
type PlacedPart = WeightPart & Pick<OnnxInitializer, 'bytes' | 'location'>;

async function planWeight(request: WeightRequest, sources: SourceFiles, options: RunOptions): Promise<PlannedWeight> {
  const { weight, form } = request;
  // A quantised matrix whose floats are wanted is known by its parts.
  const origins =
    weight.location === undefined && weight.quantized ? [weight.quantized.codes, weight.quantized.scales] : [weight];
  const found = await Promise.all(origins.map((one) => sources.of(one, options)));
  const source = found.every((one) => one?.identity === found[0]?.identity) ? found[0] : undefined;
  const offsets = origins.map(({ location }) => location?.byteOffset);
  const key = JSON.stringify([offsets, weight.dtype, weight.shape, shortForm(form)]);
  return { request, direct: source && directPart(request, source), source, key };
}

/** A form as it is written into keys: thousands of exponents are known by their hash. */
function shortForm(form: WeightForm): unknown {
  if (!('inputExponents' in form) || form.inputExponents === undefined) return form;
  return { ...form, inputExponents: createHash('sha256').update(form.inputExponents.join()).digest('hex').slice(0, 32) };
}

/** The weight as it lies in its file, if that is the wished form. */
function directPart({ weight, form }: WeightRequest, { path }: SourceFile): PlannedWeight['direct'] {
  const { location, shape, dtype } = weight;
  const type = STORED_TYPES[dtype];
  const isWished = form.kind === 'stored' || (form.kind === 'values' && (type === 'float32' || type === 'int32'));
  // Kernels load whole vectors; safetensors files need not be aligned. An empty range cannot be mapped.
  if (location === undefined || type === undefined || !isWished || sizeOf(shape) === 0) return undefined;
  if (location.byteOffset % ONNX_TYPE_BYTES[type] !== 0) return undefined;
  return { type, shape, location: { ...location, file: path } };
}

function addParts(initializers: Map<string, OnnxInitializer>, { names }: WeightRequest, parts: readonly PlacedPart[]): void {
  parts.forEach((part, index) => initializers.set(names[index]!, { name: names[index]!, ...part }));
}
