import { fileURLToPath } from 'node:url';
import type { Comparison, Contender, Rounds } from './comparison.ts';
import type { BenchmarkData } from './data.ts';
import type { OurEngine } from './engine.ts';
import type { ModelName, TrainingModelName } from './model-configs.ts';
import type { Dtype, Task } from './protocol.ts';
import type { SideCommand } from './side.ts';
import { TRAINING_SIZES } from './training-inputs.ts';

/** What the comparisons need to know. */
export interface ComparisonSettings {
  readonly data: BenchmarkData;
  /** The peer's interpreter. */
  readonly python: string;
  /** How our side computes. @default 'compiled' */
  readonly engine?: OurEngine;
  /** Of both sides. */
  readonly threads: number;
  /** Small models have no targets, and few rounds. */
  readonly small?: boolean;
  /** Exactly so many pairs of runs. @default by time */
  readonly rounds?: number;
  /** Told when checkpoints are written. */
  readonly onProgress?: (message: string) => void;
}

/** A comparison that has not read or written anything yet. */
export interface PlannedComparison {
  readonly name: string;
  /** Writes the data it needs, if that was not done. */
  plan(): Promise<Comparison>;
}

/** Steps of decoding that are averaged, and the token after the prompt before them. */
const NEW_TOKENS = 17;
const BATCH = 8;

/** Which of our formats the language models are measured in. */
const LANGUAGE_DTYPE: Dtype = 'int8';

/** What differs between comparisons; the rest is common. */
interface Plan extends Pick<Comparison, 'measures' | 'unit' | 'comparesOutputs' | 'targetRatio' | 'targetCosine'> {
  readonly name: string;
  readonly model: ModelName;
  readonly work: WithoutBase<Task>;
  readonly ours: Dtype;
  readonly peer: Dtype;
  /** Our engine in another process takes the peer's place. */
  readonly eagerPeer?: boolean;
  readonly rounds?: Partial<Rounds>;
  /** Our own result in fp32 is what both are compared with. */
  readonly fp32Reference?: boolean;
  /** Our memory may be at most this much for each weight, and a gigabyte. */
  readonly bytesPerWeight?: number;
}

/** A task without what every task says. */
type WithoutBase<T extends Task> = T extends Task
  ? Omit<T, 'checkpoint' | 'inputs' | 'dtype' | 'threads' | 'cacheFolder'>
  : never;

const IMAGES = { model: 'itm-vit-g', measures: 'run', unit: 'ms' } as const;
const DECODING = { measures: 'run', unit: 'ms per token', ours: LANGUAGE_DTYPE, peer: 'bf16', targetRatio: 0.6 } as const;
/** The second step takes a second set of buffers; the third is as all that follow. */
const TRAINING_WARM_UPS = 2;

/** A step with the batch that the model's inputs have. */
function training(model: TrainingModelName, stage: 1 | 2): Omit<Plan, 'name'> {
  return {
    model,
    measures: 'run',
    unit: 'ms',
    work: { kind: 'train', stage, batch: TRAINING_SIZES[model].batch },
    ours: 'fp32',
    peer: 'fp32',
    targetRatio: 1,
    rounds: { warmUps: TRAINING_WARM_UPS },
  };
}

/** Every row of the table. Targets come from what two cores of a server can do, see README.md. */
const PLANS: readonly Plan[] = [
  ...[1, BATCH].map((batch): Plan => {
    const work = { kind: 'encode-image', batch } as const;
    return {
      ...IMAGES,
      name: `vit-g-fp32-b${batch}`,
      work,
      ours: 'fp32',
      peer: 'fp32',
      comparesOutputs: true,
      targetRatio: 0.75,
    };
  }),
  ...[1, BATCH].map((batch): Plan => {
    const work = { kind: 'encode-image', batch } as const;
    const targets = { targetRatio: 0.8, targetCosine: 0.999 };
    return { ...IMAGES, name: `vit-g-int8-b${batch}`, work, ours: 'int8', peer: 'bf16', fp32Reference: true, ...targets };
  }),
  {
    ...IMAGES,
    name: 'qformer-fp32-b8',
    work: { kind: 'encode-queries', batch: BATCH },
    ours: 'fp32',
    peer: 'fp32',
    comparesOutputs: true,
    targetRatio: 0.8,
  },
  ...(['opt-2.7b', 'flan-t5-xl'] as const).flatMap((model) =>
    [1, 5].map((beams): Plan => {
      const name = `${model}-decode-${beams === 1 ? 'b1' : `beam${beams}`}`;
      return { ...DECODING, name, model, work: { kind: 'decode', beams, newTokens: NEW_TOKENS } };
    }),
  ),
  { ...training('stage-1', 1), name: 'qformer-train-step' },
  // A step of the eager engine takes minutes: one is enough to see such a factor.
  {
    ...training('stage-1', 1),
    name: 'qformer-train-step-eager',
    eagerPeer: true,
    targetRatio: 0.03,
    rounds: { least: 1, most: 2, warmUps: TRAINING_WARM_UPS },
  },
  { ...training('stage-2-opt-2.7b-8-layers', 2), name: 'stage-2-opt-2.7b-8-of-32-layers-train-step' },
  { ...training('tiny-stage-1', 1), name: 'tiny-stage-1-train-step' },
  { ...training('tiny-stage-2-opt', 2), name: 'tiny-stage-2-opt-train-step' },
  { ...training('tiny-stage-2-t5', 2), name: 'tiny-stage-2-t5-train-step' },
  {
    name: 'start-itm-vit-g',
    model: 'itm-vit-g',
    measures: 'start',
    unit: 'ms',
    work: { kind: 'match' },
    ours: 'fp32',
    peer: 'fp32',
    targetRatio: 0.5,
  },
  {
    name: 'memory-fp32',
    model: 'itm-vit-g',
    measures: 'memory',
    unit: 'bytes',
    work: { kind: 'match' },
    ours: 'fp32',
    peer: 'fp32',
    bytesPerWeight: 1.15 * 4,
  },
  {
    name: 'memory-int8',
    model: 'opt-2.7b',
    measures: 'memory',
    unit: 'bytes',
    work: { kind: 'decode', beams: 1, newTokens: NEW_TOKENS },
    ours: LANGUAGE_DTYPE,
    peer: 'bf16',
    bytesPerWeight: 1.3,
  },
];

/**
 * The comparisons, by name.
 *
 * @param only - Names, or beginnings of names. @default all
 */
export function planComparisons(settings: ComparisonSettings, only: readonly string[] = []): PlannedComparison[] {
  const isAsked = (name: string): boolean =>
    only.some((text) => (COMPARISON_NAMES.includes(text) ? name === text : name.startsWith(text)));
  const wanted = PLANS.filter(({ name }) => only.length === 0 || isAsked(name));
  return wanted.map((plan) => ({ name: plan.name, plan: () => complete(plan, settings) }));
}

/** The names of all comparisons. */
export const COMPARISON_NAMES: readonly string[] = PLANS.map(({ name }) => name);

async function complete(plan: Plan, settings: ComparisonSettings): Promise<Comparison> {
  const { data, threads, small = false, engine = 'compiled' } = settings;
  const { model, name, measures, unit, comparesOutputs, targetRatio, targetCosine, bytesPerWeight } = plan;
  const work = small ? withFewRows(plan.work) : plan.work;
  const base = {
    checkpoint: await data.checkpoint(model, settings.onProgress),
    inputs: await data.inputs(model),
    cacheFolder: data.cacheFolder,
    threads,
  };
  const taskIn = (dtype: Dtype): Task => ({ ...base, ...work, dtype });
  const us = (dtype: Dtype, kind: OurEngine = engine): Contender => ({
    command: ourCommand(kind, dtype, data),
    task: taskIn(dtype),
  });
  const targets = {
    targetRatio,
    targetCosine,
    ...(bytesPerWeight !== undefined && { targetValue: bytesPerWeight * data.parameterCount(model) + 1e9 }),
  };
  return {
    name,
    measures,
    unit,
    samplesPerRun: work.kind === 'train' ? work.batch : undefined,
    comparesOutputs,
    ours: us(plan.ours),
    peer: plan.eagerPeer ? us('fp32', 'eager') : { command: torchCommand(settings, plan.peer), task: taskIn(plan.peer) },
    ...(plan.fp32Reference && { reference: us('fp32') }),
    rounds: roundsOf(plan, settings),
    ...(!small && targets),
  };
}

function withFewRows(work: Plan['work']): Plan['work'] {
  return work.kind === 'train' ? { ...work, batch: Math.min(work.batch, BATCH) } : work;
}

function roundsOf({ rounds = {} }: Plan, { small = false, rounds: asked }: ComparisonSettings): Rounds {
  const usual = { least: 3, most: 9, seconds: 120, pauseMs: 500, ...rounds };
  const settled = small ? { ...usual, least: 1, most: 2, seconds: 0, pauseMs: 0 } : usual; // small ones wait for no quiet machine
  return asked === undefined ? settled : { ...settled, least: asked, most: asked };
}

function ourCommand(kind: OurEngine, dtype: Dtype, data: BenchmarkData): SideCommand {
  return {
    name: `blip2.js ${kind} ${dtype}`,
    program: process.execPath,
    args: [fileURLToPath(new URL('our-side.ts', import.meta.url)), kind],
    env: { NODE_COMPILE_CACHE: `${data.cacheFolder}/node`, NODE_NO_WARNINGS: '1' },
  };
}

function torchCommand({ python, threads }: ComparisonSettings, dtype: Dtype): SideCommand {
  return {
    name: `PyTorch ${dtype}`,
    program: python,
    args: [fileURLToPath(new URL('torch_side.py', import.meta.url))],
    env: { OMP_NUM_THREADS: String(threads), HF_HUB_OFFLINE: '1', TOKENIZERS_PARALLELISM: 'false', PYTHONDONTWRITEBYTECODE: '1' },
  };
}
