import { openCheckpointFolder, openSafetensorsFile } from '@blip2/checkpoints/node';
import { type Checkpoint, type DecodingSession, type Engine, InputError, type RunOptions, type TokenBatch } from '@blip2/core';
import { generate } from '@blip2/generation';
import { loadLanguageModel } from '@blip2/llm-adapters';
import { loadQFormer } from '@blip2/qformer';
import { loadVisionEncoder } from '@blip2/vision-encoder';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import type { RunAnswer, Task } from './protocol.ts';

/** Numbers with a shape. */
export interface OutputValues {
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** A task that is ready to run. It lives as long as its process. */
export interface LoadedTask {
  /** @returns values both sides must agree on, and `ms` where the time is not that of the whole call. */
  run(): Promise<Partial<RunAnswer>>;
  /** The result of the last run. */
  output(): Promise<OutputValues>;
}

/** A task of one kind. */
type TaskOf<Kind extends Task['kind']> = Extract<Task, { readonly kind: Kind }>;

/** Images to features. */
export async function loadEncodeImage(task: TaskOf<'encode-image' | 'encode-queries'>, engine?: Engine): Promise<LoadedTask> {
  const checkpoint = await openKept(task);
  const encoder = await loadVisionEncoder(checkpoint, { engine });
  const images = await readInput<Rank.R4>(task, 'images', task.batch); // [batch, side, side, 3]
  return keepingLast(() => encoder.encode(images));
}

/** Image features to queries. */
export async function loadEncodeQueries(task: TaskOf<'encode-image' | 'encode-queries'>, engine?: Engine): Promise<LoadedTask> {
  const checkpoint = await openKept(task);
  const qformer = await loadQFormer(checkpoint, { engine });
  const features = await readInput<Rank.R3>(task, 'features', task.batch); // [batch, tokens, imageFeatureWidth]
  return keepingLast(() => qformer.encodeQueries(features));
}

/** One image against one text. */
export async function loadMatch(task: TaskOf<'match'>, engine?: Engine): Promise<LoadedTask> {
  const checkpoint = await openKept(task);
  const encoder = await loadVisionEncoder(checkpoint, { engine });
  const qformer = await loadQFormer(checkpoint, { engine });
  const images = await readInput<Rank.R4>(task, 'images', 1); // [1, side, side, 3]
  const text = await readTokens(task, 'matching_ids');
  const scored = keepingLast(async () => {
    const features = await encoder.encode(images); // [1, tokens, width]
    const logits = await qformer.match(features, text); // [1, 2]
    features.dispose();
    return logits;
  });
  return {
    ...scored,
    async run() {
      await scored.run();
      return { values: { match: (await scored.output()).values[1]! } };
    },
  };
}

/** Text after a prompt, by the library's own search. */
export async function loadDecode(task: TaskOf<'decode'>, engine?: Engine): Promise<LoadedTask> {
  const checkpoint = await openKept(task);
  const model = await loadLanguageModel(checkpoint, { engine });
  const prompt = await readTokens(task, 'prompt_ids');
  const { beams, newTokens } = task;
  let written: readonly number[] = [];
  return {
    async run() {
      const session = model.startDecoding(undefined, prompt);
      try {
        const timed = timeSteps(session);
        const [texts] = await generate(timed.session, { beams, minNewTokens: newTokens, maxNewTokens: newTokens });
        const ms = timed.elapsed() / (newTokens - 1);
        if (timed.steps() !== newTokens - 1) {
          throw new InputError(`decode: ${timed.steps()} steps for ${newTokens} tokens, expected one less. Measure another way.`);
        }
        written = texts![0]!.tokenIds;
        return { ms };
      } finally {
        session.dispose();
      }
    },
    output: () => Promise.resolve({ shape: [1, written.length], values: written }),
  };
}

/** The same session, with a clock that starts at the first step after the prompt. */
function timeSteps(session: DecodingSession): { session: DecodingSession; steps: () => number; elapsed: () => number } {
  let [steps, begin] = [0, 0];
  const step = (tokenIds: readonly number[], options?: RunOptions): Promise<Tensor2D> => {
    if (steps === 0) begin = performance.now();
    steps++;
    return session.step(tokenIds, options);
  };
  const timed = new Proxy(session, {
    get: (target, key) => {
      if (key === 'step') return step;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { session: timed, steps: () => steps, elapsed: () => performance.now() - begin };
}

/** Checkpoints stay open as long as the process: blocks may stream. */
const opened: Checkpoint[] = [];

async function openKept({ checkpoint: folder }: Task): Promise<Checkpoint> {
  const checkpoint = await openCheckpointFolder(folder);
  opened.push(checkpoint);
  return checkpoint;
}

/** A task whose result is a tensor; the last one is kept. */
function keepingLast(compute: () => Promise<Tensor>): LoadedTask {
  let last: Tensor | undefined;
  return {
    async run() {
      last?.dispose();
      last = await compute();
      return {};
    },
    async output() {
      if (last === undefined) throw new InputError('output: nothing was run, expected a result. Run the task first.');
      return { shape: last.shape, values: await last.data() };
    },
  };
}

/** The first rows of an input. */
export async function readInput<R extends Rank>({ inputs }: Task, name: string, rows: number): Promise<Tensor<R>> {
  const file = await openSafetensorsFile(inputs);
  try {
    const weight = file.get(name)!.rows(0, rows);
    const dtype = weight.dtype === 'I32' ? 'int32' : 'float32';
    return tf.tensor(await weight.read(), weight.shape.slice(), dtype) as unknown as Tensor<R>;
  } finally {
    file.dispose();
  }
}

async function readTokens(task: Task, name: string): Promise<TokenBatch> {
  const tensor = await readInput<Rank.R2>(task, name, 1); // [1, tokens]
  const ids = await tensor.array();
  tensor.dispose();
  return { ids, mask: ids.map((row) => row.map(() => 1)) };
}
