import { type Progress, ProgressReporter, type RunOptions, type WeightSource } from '@blip2/core';
import { type Part, partOf, storedBytes } from './parts.ts';

/** Which stage's loader reads a part. */
const STAGE_OF: Readonly<Record<Part, string>> = {
  'vision encoder': 'vision encoder',
  'query tokens': 'Q-Former',
  'Q-Former': 'Q-Former',
  'text embeddings': 'Q-Former',
  heads: 'Q-Former',
  'language projection': 'Q-Former',
  'language model': 'language model',
};

/** Joins the progress of several loaders into one: each fills its share of the checkpoint's bytes. */
export class LoadProgress {
  readonly #reporter: ProgressReporter;
  readonly #shareBytes: Map<string, number> = new Map();
  #lastStage = 'model';

  constructor(source: WeightSource, onProgress: RunOptions['onProgress']) {
    for (const name of source.names) {
      const part = partOf(name);
      if (part === undefined) continue;
      const stage = STAGE_OF[part];
      this.#shareBytes.set(stage, (this.#shareBytes.get(stage) ?? 0) + storedBytes(source.get(name)!));
    }
    const totalBytes = [...this.#shareBytes.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.#reporter = new ProgressReporter('load', totalBytes, onProgress);
  }

  /** The listener for one stage's loader, whatever total that counts in. */
  listener(stage: string): (progress: Progress) => void {
    this.#lastStage = stage;
    const share = this.#shareBytes.get(stage) ?? 0;
    let reported = 0;
    return ({ loadedBytes, totalBytes }) => {
      const reached = totalBytes === 0 ? share : Math.floor((share * loadedBytes) / totalBytes);
      this.#reporter.add(stage, reached - reported);
      reported = Math.max(reported, reached);
    };
  }

  complete(): void {
    this.#reporter.complete(this.#lastStage);
  }
}
