import '@tensorflow/tfjs';
import { join } from 'node:path';
import { writeWeights } from '@blip2/checkpoints/node';
import {
  CLIP_MEAN,
  CLIP_STANDARD_DEVIATION,
  type HostTensor,
  linear,
  type LinearParams,
  meanCrossEntropy,
  randomWeights,
  weightFromValues,
  WeightReader,
  type WeightSource,
  type Described,
  seededRandom,
} from '@blip2/core';
import { type Domain, drawScene, renderScene, type Scene } from '@blip2/datasets';
import {
  describeVisionTransformer,
  visionTransformer,
  type VisionTransformerConfig,
  type VisionTransformerParams,
} from '@blip2/vision-encoder';
import {
  checkpointFolder,
  createTrainingStep,
  indexedBatches,
  namedTensors,
  separateParameters,
  train,
  warmupCosine,
} from '@blip2/training/node';
import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { progressLog } from './progress-log.ts';
import { VISION } from './sizes.ts';
import { THREADS } from './threads.ts';
import {
  CELLS,
  centreOffsets,
  markCoveredCells,
  IMAGE_TASKS,
  PATCH_TASKS,
  patchClasses,
  patchObjects,
  type PatchTask,
} from './vision-labels.ts';

const BATCH = 64;
const SCENES = 400_000;
/** The seed of the scenes that only the image encoder sees in pre-training. */
const SEED = 1000;
const GRID = VISION.imageSize / VISION.patchSize;
const PATCHES = GRID * GRID;
const PIXELS = VISION.imageSize ** 2 * 3;
const TASKS = Object.keys(PATCH_TASKS) as PatchTask[];

interface Params {
  readonly vision: VisionTransformerParams;
  readonly heads: Readonly<Record<string, LinearParams>>;
}

interface Batch {
  readonly images: Tensor4D; //                  [batch, imageSize, imageSize, 3], normalised
  readonly classes: Readonly<Record<string, Tensor2D>>; // int32 [batch, patches], or [batch, 1] for tasks of the whole image
  readonly offsets: Tensor3D; //                 [batch, patches, 2]
  readonly covered: Tensor3D; //                 [batch, patches, CELLS²]
}

/** Pre-trains the image encoder: each patch tells what it shows. Its heads are dropped afterwards. */
export async function pretrainVision(folder: string, totalSteps: number, size: VisionTransformerConfig = VISION): Promise<void> {
  const source = initialVision(size);
  const vision = describeVisionTransformer(new WeightReader(source, 'vision encoder'), size);
  const parameters = separateParameters<Params>({ vision, heads: describeHeads(size.width) } as Described<Params>);
  const step = await createTrainingStep<Params, Batch>((params, batch) => visionLoss(params, size, batch), {
    parameters,
    example: makeBatch(Array.from({ length: BATCH }, (_, row) => row)) as never,
    clipNorm: 1,
    betas: [0.9, 0.98],
    target: { threads: THREADS },
    weightDecay: 0.02,
  });
  await train({
    step: step as never,
    batches: indexedBatches({ length: SCENES, batchSize: BATCH, inOrder: true, make: makeBatch }),
    schedule: warmupCosine({ peak: 2.5e-3, totalSteps, warmupSteps: Math.min(200, totalSteps) }),
    totalSteps,
    checkpoints: checkpointFolder(join(folder, 'checkpoints'), { identity: { part: 'vision', totalSteps }, keep: 1 }),
    saveEvery: 500,
    loggers: [progressLog('vision')],
  });
  const { params } = await step.state();
  const trained = Object.fromEntries(Object.entries(parameters.trained).filter(([path]) => path.startsWith('vision.')));
  await writeWeights(
    folder,
    namedTensors(trained, params as never, (name) => source.get(name)?.shape),
    { overwrite: true },
  );
  step.dispose();
}

/** Drawn weights, but for positions: waves by row and column, so that neighbours can find each other from the first step. */
function initialVision(size: VisionTransformerConfig): WeightSource {
  const drawn = randomWeights((reader) => describeVisionTransformer(reader, size), { seed: 1, standardDeviation: 0.05 });
  const name = 'vision_model.embeddings.position_embedding';
  const positions = weightFromValues(name, [1, 1 + PATCHES, size.width], wavePositions(GRID, size.width));
  return { ...drawn, get: (each) => (each === name ? positions : drawn.get(each)) };
}

/** Sines and cosines of rows and columns; zeros for the class token. Source: MAE (arXiv 2111.06377), appendix A.1. */
function wavePositions(grid: number, width: number): Float32Array {
  const values = new Float32Array((1 + grid * grid) * width);
  const quarter = width / 4;
  for (let patch = 0; patch < grid * grid; patch++) {
    const places = [patch % grid, Math.floor(patch / grid)];
    for (let index = 0; index < width; index++) {
      const place = places[Math.floor(index / (2 * quarter))]! / 10_000 ** ((index % quarter) / quarter);
      values[(1 + patch) * width + index] = Math.floor(index / quarter) % 2 === 0 ? Math.sin(place) : Math.cos(place);
    }
  }
  return values;
}

function describeHeads(width: number): Described<Params['heads']> {
  const random = seededRandom(7);
  const head = (classes: number) => ({
    weight: weightFromValues(
      'head',
      [classes, width],
      Float32Array.from({ length: classes * width }, () => 0.1 * (random() - 0.5)),
    ),
    bias: weightFromValues('head', [classes], new Float32Array(classes)),
  });
  return {
    ...Object.fromEntries(TASKS.map((task) => [task, head(PATCH_TASKS[task].length + 1)])),
    ...Object.fromEntries(Object.entries(IMAGE_TASKS).map(([task, words]) => [task, head(words.length)])),
    offsets: head(2),
    covered: head(CELLS * CELLS),
  };
}

function visionLoss({ vision, heads }: Params, size: VisionTransformerConfig, { images, classes, offsets, covered }: Batch) {
  const tokens = visionTransformer(vision, size, images); // [batch, 1 + patches, width]
  const rows = (begin: number, count: number): Tensor2D =>
    tf.reshape(tf.slice(tokens, [0, begin, 0], [-1, count, -1]), [-1, size.width]) as Tensor2D;
  const [whole, patches] = [rows(0, 1), rows(1, PATCHES)]; // [batch, width], [batch·patches, width]
  const metrics: Record<string, Scalar> = {};
  for (const [task, labels] of Object.entries(classes)) {
    const logits = linear(heads[task]!, task in IMAGE_TASKS ? whole : patches);
    const loss = meanCrossEntropy(logits, tf.reshape(labels, [-1]) as Tensor1D);
    metrics[task] = task in IMAGE_TASKS ? tf.mul(loss, 0.1) : loss;
  }
  const wrong = tf.sub(linear(heads['offsets']!, patches), tf.reshape(offsets, [-1, 2]));
  metrics['offsets'] = tf.mul(tf.mean(tf.square(wrong)), 0.5);
  metrics['covered'] = sigmoidCrossEntropy(linear(heads['covered']!, patches), tf.reshape(covered, [-1, CELLS * CELLS]));
  return { ...metrics, loss: tf.addN(Object.values(metrics)) as Scalar };
}

/** Mean of −log σ(±logit). */
function sigmoidCrossEntropy(logits: Tensor, targets: Tensor): Scalar {
  const certain = tf.sub(tf.relu(logits), tf.mul(logits, targets));
  return tf.mean(tf.add(certain, tf.log(tf.add(1, tf.exp(tf.neg(tf.abs(logits)))))));
}

/** Of eight scenes one has an unseen pair and one an unseen shape: image encoders have seen everything, as those of the paper. */
function sceneOf(row: number): Scene {
  const domains: Readonly<Record<number, Domain>> = { 0: 'near', 1: 'out' };
  return drawScene({ seed: SEED, index: row }, { domain: domains[row % 8] ?? 'in' });
}

function makeBatch(rows: readonly number[]) {
  const images = new Float32Array(rows.length * PIXELS);
  const classes: Record<string, number[]> = Object.fromEntries([...TASKS, ...Object.keys(IMAGE_TASKS)].map((task) => [task, []]));
  const offsets: number[] = [];
  const cells = PATCHES * CELLS * CELLS;
  const covered = new Float32Array(rows.length * cells);
  for (const [place, row] of rows.entries()) {
    const scene = sceneOf(row);
    writePixels(scene, images, place * PIXELS);
    const patches = patchObjects(scene, GRID);
    for (const task of TASKS) classes[task]!.push(...patchClasses(scene, patches, task));
    classes['objects']!.push(scene.objects.length - 1);
    offsets.push(...centreOffsets(patches, GRID));
    markCoveredCells(scene, GRID, covered, place * cells);
  }
  const batch = rows.length;
  const side = VISION.imageSize;
  const integers = (numbers: number[]): HostTensor => ({
    shape: [batch, numbers.length / batch],
    data: Int32Array.from(numbers),
  });
  return {
    images: { shape: [batch, side, side, 3], data: images },
    classes: Object.fromEntries(Object.entries(classes).map(([task, numbers]) => [task, integers(numbers)])),
    offsets: { shape: [batch, PATCHES, 2], data: Float32Array.from(offsets) },
    covered: { shape: [batch, PATCHES, CELLS * CELLS], data: covered },
  };
}

/** Normalised as `preprocess` of `@blip2/image` does, which has nothing to resize here. */
function writePixels(scene: Scene, target: Float32Array, begin: number): void {
  const { data } = renderScene(scene, { size: VISION.imageSize });
  for (let at = 0; at < data.length; at += 3) {
    for (let channel = 0; channel < 3; channel++) target[begin + at + channel] = NORMALIZED[channel]![data[at + channel]!]!;
  }
}

/** Of each channel, what the bytes from 0 to 255 become. */
const NORMALIZED: readonly Float32Array[] = CLIP_MEAN.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - mean) / CLIP_STANDARD_DEVIATION[channel]!),
);
