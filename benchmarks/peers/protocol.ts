/**
 * What the harness and the sides say to each other: a JSON object a line, requests on a side's standard input, answers
 * on its standard output, one answer for each request and in their order.
 */

/** How a side computes. `bf16` is PyTorch's, `int8` and `int4` are ours. */
export type Dtype = 'fp32' | 'bf16' | 'int8' | 'int4';

/** What every task says. */
interface TaskBase {
  /** Folder of the model. */
  readonly checkpoint: string;
  /** The file of inputs. */
  readonly inputs: string;
  readonly dtype: Dtype;
  readonly threads: number;
  /** Where an engine may keep what it prepared. */
  readonly cacheFolder: string;
}

/** Work that both sides can do. */
export type Task = TaskBase &
  (
    | {
        /** Images to features, `[batch, tokens, width]`, before `ln_vision`; or features to queries, `ln_vision` included. */
        readonly kind: 'encode-image' | 'encode-queries';
        readonly batch: number;
      }
    | {
        /** Text after a prompt; a run's time is that of a step after the first. */
        readonly kind: 'decode';
        readonly beams: number;
        readonly newTokens: number;
      }
    | {
        /** One image against one text with the whole model. */
        readonly kind: 'match';
      }
    | {
        /** One step of training: losses, gradients, AdamW. The first stage has three losses, the second a frozen language model. */
        readonly kind: 'train';
        readonly stage: 1 | 2;
        readonly batch: number;
      }
  );

/** Work of the scorers, which know no model; `metrics.ts` compares it. */
export interface MetricsTask {
  readonly kind: 'metrics';
  readonly work: string;
  /** Where the files to be scored are. */
  readonly folder: string;
}

/** What the harness asks. */
export type SideRequest =
  | { readonly command: 'load'; readonly task: Task | MetricsTask }
  | { readonly command: 'run' }
  | { readonly command: 'output'; readonly path: string }
  | { readonly command: 'memory' }
  | { readonly command: 'quit' };

/** The answer to `load`. */
export interface SideDescription {
  /** `Node 24.1.0`. */
  readonly runtime: string;
  /** Versions by name. */
  readonly libraries: Readonly<Record<string, string>>;
  readonly threads: number;
}

/** The answer to `run`. */
export interface RunAnswer {
  readonly ms: number;
  /** Single numbers that both sides must agree on: losses, scores. */
  readonly values?: Readonly<Record<string, number>>;
}

/** The answer to `output`: the last result was written to the path as little-endian float32 numbers. */
export interface OutputAnswer {
  readonly shape: readonly number[];
}

/** The answer to `memory`. */
export interface MemoryAnswer {
  /** The most that was ever resident, `VmHWM` where there is one. */
  readonly peakBytes: number;
}

/** What each request is answered with. `quit` has no answer: the process ends. */
export interface SideAnswers {
  readonly load: SideDescription;
  readonly run: RunAnswer;
  readonly output: OutputAnswer;
  readonly memory: MemoryAnswer;
}
