import { availableParallelism } from 'node:os';
import { Tinypool } from 'tinypool';
import { type PixelResult, type PixelTask, preparePixels } from './prepare-pixels.ts';

/** What turns image files into pixels: this thread or others. */
export interface PixelWorkers {
  prepare(task: PixelTask): Promise<PixelResult>;
  /** Ends the threads; tasks under way reject. */
  close(): Promise<void>;
}

/** A processor is left to the main thread; with many, decoding is faster than training anyway. */
const MOST_DEFAULT_WORKERS = 8;

/** As many threads as there are processors, but one, and at most eight. */
export function defaultWorkerCount(): number {
  return Math.max(1, Math.min(MOST_DEFAULT_WORKERS, availableParallelism() - 1));
}

/** @param count - Threads; with 0 the work is done on this one. */
export function startPixelWorkers(count: number): PixelWorkers {
  if (count === 0) return { prepare: preparePixels, close: async () => undefined };
  const pool = new Tinypool({
    filename: workerFile().href,
    name: 'preparePixels',
    minThreads: count,
    maxThreads: count,
    // While libvips decodes one image on a thread of its own, another is resized.
    concurrentTasksPerWorker: 2,
    useAtomics: false,
  });
  return {
    prepare(task) {
      // A copy, because the thread takes the memory over and a record's bytes may be shared.
      const bytes = Uint8Array.from(task.bytes);
      return pool.run({ ...task, bytes }, { transferList: [bytes.buffer] }) as Promise<PixelResult>;
    },
    close: () => pool.destroy(),
  };
}

/** In a built package, files of TypeScript are JavaScript and all lie in one folder. */
function workerFile(): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return isSource ? new URL('../pixel-worker.ts', import.meta.url) : new URL('./pixel-worker.js', import.meta.url);
}
