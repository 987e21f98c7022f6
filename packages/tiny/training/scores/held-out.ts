import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type DatasetRecord,
  type Domain,
  drawScene,
  type IndexedDataset,
  readCocoCaptions,
  readFlickr30kCaptions,
  readNoCaps,
  readVqa,
  type Scene,
  writeShapesWorld,
} from '@blip2/datasets/node';
import type { VqaAnnotation } from '@blip2/eval';
import { SEEDS } from '../world.ts';

/** Scenes that nothing was trained on, read from the files of the data sets that published models are measured with. */
export interface HeldOut {
  /** COCO: images with five captions. */
  readonly captioned: readonly DatasetRecord[];
  /** NoCaps: images with ten captions, by domain. */
  readonly noCaps: readonly DatasetRecord[];
  /** VQAv2, and its annotations as the scorer takes them. */
  readonly questions: readonly DatasetRecord[];
  readonly annotations: readonly VqaAnnotation[];
  /** Flickr30K: 1,000 images with five captions. */
  readonly retrieval: readonly DatasetRecord[];
}

const COUNTS = {
  coco: { train: 0, restval: 0, val: 1000, test: 0 },
  gqa: { train: 0, val: 0, testdev: 0 },
  nocaps: { in: 300, near: 300, out: 300 },
  flickr30k: { train: 0, val: 0, test: 1000 },
} as const;

/** @param folder - Is written where it is not there: what `blip2 shapes --seed 2` writes, without its training images. */
export async function openHeldOut(folder: string): Promise<HeldOut> {
  if (!existsSync(folder)) await writeShapesWorld(folder, { seed: SEEDS.validation, counts: COUNTS });
  const path = (...names: string[]): string => join(folder, ...names);
  const images = path('coco', 'images');
  const byImage = { rows: 'image' } as const;
  const annotations = path('vqav2', 'v2_mscoco_val2014_annotations.json');
  return {
    captioned: rowsOf(await readCocoCaptions(path('coco', 'annotations', 'captions_val2014.json'), { images, ...byImage })),
    noCaps: rowsOf(
      await readNoCaps(path('nocaps', 'nocaps_val_4500_captions.json'), { images: path('nocaps', 'images'), ...byImage }),
    ),
    questions: rowsOf(await readVqa(path('vqav2', 'v2_OpenEnded_mscoco_val2014_questions.json'), { annotations, images })),
    annotations: (JSON.parse(await readFile(annotations, 'utf8')) as { annotations: VqaAnnotation[] }).annotations,
    retrieval: rowsOf(
      await readFlickr30kCaptions(path('flickr30k', 'dataset_flickr30k.json'), {
        images: path('flickr30k', 'flickr30k-images'),
        split: 'test',
        ...byImage,
      }),
    ),
  };
}

/** The scene that a row's image shows: ids of images are those of scenes, from 1. */
export function sceneOf({ imageId, domain = 'in-domain' }: DatasetRecord): Scene {
  const key = { seed: SEEDS.validation, index: Number(imageId) - 1 };
  return drawScene(key, { domain: domain.replace('-domain', '') as Domain });
}

/** What `asCaptioner` and its sisters read. */
export function readRecord(record: DatasetRecord): Promise<Uint8Array> {
  return record.readImage();
}

function rowsOf(dataset: IndexedDataset): DatasetRecord[] {
  return Array.from({ length: dataset.length }, (_, index) => dataset.at(index));
}
