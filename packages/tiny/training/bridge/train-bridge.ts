import { join } from 'node:path';
import { writeWeights } from '@blip2/checkpoints/node';
import type { LossAndMetrics } from '@blip2/compiler';
import type { EngineInputs, HostTensor, Random, WeightSource } from '@blip2/core';
import {
  checkpointFolder,
  createTrainingStep,
  decaysInLavis,
  indexedBatches,
  namedTensors,
  type SeparatedParameters,
  train,
  warmupCosine,
} from '@blip2/training/node';
import { progressLog } from '../progress-log.ts';
import { THREADS } from '../threads.ts';
import type { World } from '../world.ts';

/** What every run of the bridge is told. */
export interface BridgeRun {
  readonly folder: string;
  readonly world: World;
  readonly totalSteps: number;
  readonly learningRate: number;
  readonly batchSize: number;
  /** Weights to begin with. @default drawn */
  readonly from?: Pick<WeightSource, 'get'>;
  /** Of the weights that are drawn, the order of the batches and what is drawn for them. @default 1 */
  readonly seed?: number;
}

/** What differs between runs. */
export interface BridgePlan<Tree, Batch> {
  /** For the log. */
  readonly name: string;
  /** All weights of the bridge, where it begins. */
  readonly source: WeightSource;
  readonly parameters: SeparatedParameters<Tree>;
  readonly loss: (params: Tree, batch: Batch) => LossAndMetrics;
  /** Records, and a batch of some of them. */
  readonly length: number;
  readonly make: (rows: readonly number[], random: Random) => Promise<EngineInputs<Batch>>;
}

/** Trains what is trained of a bridge, in one compiled graph, and writes its weights. */
export async function trainBridge<Tree, Batch>(run: BridgeRun, plan: BridgePlan<Tree, Batch>): Promise<void> {
  const { batchSize, totalSteps, folder, learningRate, seed = 1 } = run;
  const { name, source, parameters, loss, length, make } = plan;
  const firstRows = Array.from({ length: batchSize }, (_, row) => row);
  const step = await createTrainingStep<Tree, Batch>(loss, {
    parameters,
    example: await make(firstRows, () => 0.5),
    clipNorm: 1,
    decays: decaysInLavis,
    target: { threads: THREADS },
    betas: [0.9, 0.98],
    weightDecay: 0.05,
  });
  try {
    await train({
      step,
      batches: indexedBatches({ length, batchSize, seed, make }),
      schedule: warmupCosine({
        peak: learningRate,
        minimum: learningRate / 20,
        totalSteps,
        warmupSteps: Math.min(100, totalSteps),
      }),
      totalSteps,
      checkpoints: checkpointFolder(join(folder, 'checkpoints'), { identity: { name, totalSteps, seed, learningRate }, keep: 1 }),
      saveEvery: 500,
      loggers: [progressLog(name)],
    });
    const { params } = await step.state();
    const tensors = namedTensors(parameters.trained, params as Record<string, HostTensor>, (each) => source.get(each)?.shape);
    await writeWeights(folder, tensors, { overwrite: true });
  } finally {
    step.dispose();
  }
}

/** Uniform numbers, `[count]`. */
export function uniform(count: number, random: Random): HostTensor {
  return { shape: [count], data: Float32Array.from({ length: count }, random) };
}

/** One of a list, each as likely as the others. */
export function pickOne<Item>(items: readonly Item[], random: Random): Item {
  return items[Math.floor(random() * items.length)]!;
}
