import { readBlip2Config } from '@blip2/checkpoints';
import { type Checkpoint, defaultWeightBudget, sizeOf } from '@blip2/core';
import { type Part, partOf, storedBytes as storedBytesOf } from './parts.ts';

/** What a model will cost the eager engine on a backend, before it is loaded. Rough on purpose: the right order of magnitude. */
export interface Estimate {
  /** Float32 bytes of all weights. */
  readonly weightBytes: number;
  /** Float32 bytes that stay in memory. */
  readonly residentBytes: number;
  /** Stored bytes that are read again and again, once an image or once a token. */
  readonly streamedBytes: number;
  readonly secondsPerImage: number;
  /** One sentence with the figures. */
  readonly summary: string;
}

export interface EstimateOptions {
  /** The tfjs backend. */
  readonly backend: string;
  /** Whether the language model will write. */
  readonly writesText: boolean;
  /** @default 20 */
  readonly newTokens?: number;
  /** @default 5 */
  readonly beams?: number;
  /** @default by backend */
  readonly weightBudgetBytes?: number;
}

/**
 * Speed of a backend: floating-point operations a second in matrix products, and weights a second when they stream (read,
 * converted to float32, handed to the backend). Measured on two x86-64 cores with `benchmarks/full-size.ts`, files in the
 * system's cache.
 */
const SPEEDS: Readonly<Record<string, { readonly flops: number; readonly streamedWeights: number }>> = {
  wasm: { flops: 18e9, streamedWeights: 0.22e9 },
  cpu: { flops: 0.5e9, streamedWeights: 0.22e9 },
};

/**
 * Estimates memory and time of the eager engine from names, shapes and configuration; no weights are read. For the compiled
 * one, `measureBlip2` measures.
 *
 * @example
 * const { summary } = await estimateBlip2(checkpoint, { backend: 'wasm', writesText: true });
 */
export async function estimateBlip2(checkpoint: Checkpoint, options: EstimateOptions): Promise<Estimate> {
  const { backend, writesText, newTokens = 20, beams = 5, weightBudgetBytes = defaultWeightBudget(backend) } = options;
  const { vision_config: vision, num_query_tokens: queries } = await readBlip2Config(checkpoint);
  const patches = (vision.image_size / vision.patch_size) ** 2 + 1;
  const sizes = partSizes(checkpoint);
  const parameters = (part: Part): number => sizes.get(part)?.parameters ?? 0;
  const bridge = parameters('Q-Former') + parameters('heads') + parameters('text embeddings') + parameters('language projection');
  const language = writesText ? parameters('language model') : 0;

  const streamed = streamedParts(sizes, weightBudgetBytes);
  // Each parameter of a matrix is one multiplication and one addition for each row that goes through it.
  const flops = 2 * (parameters('vision encoder') * patches + bridge * queries + language * (queries + 8 + newTokens * beams));
  const streamedWeights = streamed.perImage.weights + (writesText ? streamed.perToken.weights * (newTokens + 1) : 0);
  const speed = SPEEDS[backend];
  const secondsPerImage = speed === undefined ? 0 : flops / speed.flops + streamedWeights / speed.streamedWeights;

  const weightBytes = [...sizes.values()].reduce((sum, size) => sum + 4 * size.parameters, 0);
  const residentBytes = Math.min(weightBytes, weightBudgetBytes);
  const reread = streamed.perImage.bytes + streamed.perToken.bytes;
  const summary =
    `On ${backend}, ${checkpoint.name} needs ${gigabytes(weightBytes)} for its weights in float32; ${gigabytes(residentBytes)} stay in memory` +
    (reread === 0
      ? ''
      : `, ${gigabytes(reread)} are read from disk again for every ${streamed.perToken.bytes > 0 ? 'token' : 'image'}`) +
    `. An image will take about ${duration(secondsPerImage)}.`;
  return { weightBytes, residentBytes, streamedBytes: reread, secondsPerImage, summary };
}

interface PartSize {
  readonly parameters: number;
  readonly storedBytes: number;
}

function partSizes(checkpoint: Checkpoint): Map<Part, PartSize> {
  const sizes = new Map<Part, PartSize>();
  for (const name of checkpoint.weights.names) {
    const part = partOf(name);
    const weight = checkpoint.weights.get(name);
    if (part === undefined || weight === undefined) continue;
    const { parameters, storedBytes } = sizes.get(part) ?? { parameters: 0, storedBytes: 0 };
    const size = sizeOf(weight.shape);
    sizes.set(part, { parameters: parameters + size, storedBytes: storedBytes + storedBytesOf(weight) });
  }
  return sizes;
}

/** What is read again and again: numbers, and the bytes they take in the files. */
interface Streamed {
  readonly weights: number;
  readonly bytes: number;
}

/** What does not fit the budget, in the order in which `loadBlip2` hands it out. */
function streamedParts(sizes: ReadonlyMap<Part, PartSize>, budgetBytes: number): { perImage: Streamed; perToken: Streamed } {
  let free = budgetBytes;
  const overflow = (parts: readonly Part[]): Streamed => {
    let [weights, bytes] = [0, 0];
    for (const { parameters, storedBytes } of parts.flatMap((part) => sizes.get(part) ?? [])) {
      const kept = Math.min(free, 4 * parameters);
      free -= kept;
      weights += parameters - kept / 4;
      bytes += storedBytes * (1 - kept / (4 * parameters));
    }
    return { weights, bytes };
  };
  const perToken = overflow(['language model']);
  const perImage = overflow(['query tokens', 'Q-Former', 'text embeddings', 'heads', 'language projection', 'vision encoder']);
  return { perImage, perToken };
}

function gigabytes(bytes: number): string {
  return bytes >= 1e8 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
