import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointFolder } from '@blip2/checkpoints/node';
import { onnxEngine } from '@blip2/compiler/node';
import {
  askScene,
  describeScene,
  drawScene,
  renderScene,
  type Scene,
  type SceneKey,
  type SceneQuestion,
  sceneRandom,
} from '@blip2/datasets';
import { createFeatureStore, type FeatureStore, imageEncoder, openFeatureStore, writeFeatures } from '@blip2/datasets/node';
import { imageProcessorOfSize } from '@blip2/image';
import { processCaption } from '@blip2/tokenizers';
import { createVisionEncoder, type VisionTransformerConfig } from '@blip2/vision-encoder';
import type { HostTensor } from '@blip2/core';
import { VISION } from './sizes.ts';

/** Scenes of one seed with what is known of them, and the features of their images. */
export interface World {
  readonly seed: number;
  readonly size: number;
  /** As the models read and write them. */
  readonly captions: readonly (readonly string[])[];
  readonly questions: readonly (readonly SceneQuestion[])[];
  readonly features: FeatureStore;
  readonly vision: VisionTransformerConfig;
}

/** Seeds of scenes: those that the bridge is trained on, and those that nothing is trained on. */
export const SEEDS = { training: 1, validation: 2 } as const;

/** How many questions are asked about each scene. */
const QUESTIONS = 8;

/**
 * A world of scenes: texts in memory, features of the frozen encoder in a store, which is made where there is none.
 *
 * @param visionFolder - The pre-trained encoder.
 */
export async function openWorld(
  visionFolder: string,
  storeFolder: string,
  { seed, size, vision = VISION }: { readonly seed: number; readonly size: number; readonly vision?: VisionTransformerConfig },
): Promise<World> {
  const scenes = Array.from({ length: size }, (_, index) => ({
    key: { seed, index },
    scene: drawScene({ seed, index }),
  }));
  const folder = join(storeFolder, `${seed}-${size}`);
  // Complete stores have their name: any number of parts may read them at once.
  if (!existsSync(folder)) {
    const unfinished = `${folder} unfinished`;
    await encodeScenes(scenes, visionFolder, vision, unfinished);
    renameSync(unfinished, folder);
  }
  return {
    seed,
    size,
    captions: scenes.map(({ key, scene }) =>
      describeScene(scene, sceneRandom(key, 'captions')).map((text) => processCaption(text)),
    ),
    questions: scenes.map(({ key, scene }) => askScene(scene, sceneRandom(key, 'questions'), { count: QUESTIONS })),
    features: await openFeatureStore(folder),
    vision,
  };
}

/** Writes the features of scenes; goes on where it was interrupted. */
async function encodeScenes(
  scenes: readonly { readonly key: SceneKey; readonly scene: Scene }[],
  visionFolder: string,
  vision: VisionTransformerConfig,
  storeFolder: string,
): Promise<void> {
  const tokens = 1 + (vision.imageSize / vision.patchSize) ** 2;
  const identity = { seed: scenes[0]!.key.seed };
  const store = await createFeatureStore(storeFolder, { tokens, width: vision.width, dtype: 'F16', identity });
  const checkpoint = await openCheckpointFolder(visionFolder);
  const encoder = await createVisionEncoder(checkpoint.weights, vision, { engine: await onnxEngine({ cache: false }) });
  try {
    const records = scenes.map(({ key, scene }) => ({
      key: `${key.index}`,
      pixels: () => renderScene(scene, { size: vision.imageSize }),
    }));
    await writeFeatures(records, imageEncoder(encoder, imageProcessorOfSize(vision.imageSize)), { store, batchSize: 32 });
    await store.close();
  } finally {
    encoder.dispose();
    checkpoint.dispose();
  }
}

/** Features of some scenes, `[rows, tokens, width]`. */
export async function readFeatures({ features, vision }: World, rows: readonly number[]): Promise<HostTensor> {
  const data = await features.read(rows.map(String));
  return { shape: [rows.length, data.length / rows.length / vision.width, vision.width], data };
}
