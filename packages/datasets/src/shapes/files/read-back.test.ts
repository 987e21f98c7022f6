import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeImage } from '@blip2/image/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCocoCaptions, readFlickr30kCaptions, readNoCaps } from '../../readers/captions.ts';
import { readGqa, readVqa } from '../../readers/questions.ts';
import type { DatasetRecord, IndexedDataset } from '../../records/record.ts';
import { sceneRandom } from '../random.ts';
import { askScene } from '../questions.ts';
import { captionFits } from '../read-caption.ts';
import { renderScene } from '../render/render-scene.ts';
import { type Domain, drawScene, type Scene } from '../scene.ts';
import { shapesWorldCounts } from './plan.ts';
import { writeShapesWorld } from './write-shapes-world.ts';

const scratch = mkdtempSync(join(tmpdir(), 'blip2-shapes-read-'));
const world = join(scratch, 'world');
const path = (...parts: string[]): string => join(world, ...parts);
const seed = 3;

beforeAll(() => writeShapesWorld(world, { seed, counts: shapesWorldCounts(10), size: 32 }));
afterAll(() => rmSync(scratch, { recursive: true }));

const sceneOf = (imageId: number | string, domain: Domain = 'in'): Scene =>
  drawScene({ seed, index: Number(String(imageId).replace('n', '')) - 1 }, { domain });
const recordsOf = (dataset: IndexedDataset): DatasetRecord[] =>
  Array.from({ length: dataset.length }, (_, index) => dataset.at(index));

/** The reader's picture is the scene's. */
async function expectPicture(record: DatasetRecord, scene: Scene): Promise<void> {
  const { data } = await decodeImage(await record.readImage());
  expect(Buffer.compare(data, renderScene(scene, { size: 32 }).data), record.key).toBe(0);
}

test('captions', async () => {
  const datasets = [
    [await readCocoCaptions(path('coco/dataset_coco.json'), { images: path('coco/images'), rows: 'image' }), 12],
    [await readCocoCaptions(path('coco/dataset_coco.json'), { images: path('coco/images'), split: 'train' }), 50],
    [await readCocoCaptions(path('coco/annotations/captions_val2014.json'), { images: path('coco/images/val2014') }), 10],
    [await readFlickr30kCaptions(path('flickr30k/dataset_flickr30k.json'), { images: path('flickr30k/flickr30k-images') }), 5],
    [await readNoCaps(path('nocaps/nocaps_val_4500_captions.json'), { images: path('nocaps/images') }), 3],
  ] as const;
  for (const [dataset, length] of datasets) {
    expect(dataset.length, dataset.name).toBe(length);
    for (const record of recordsOf(dataset)) {
      const scene = sceneOf(record.imageId, record.domain?.replace('-domain', '') as Domain | undefined);
      await expectPicture(record, scene);
      for (const caption of record.captions!) expect(captionFits(scene, caption)).toBe(true);
    }
  }
});

test('questions', async () => {
  const vqa = await readVqa(path('vqav2/v2_OpenEnded_mscoco_val2014_questions.json'), {
    annotations: path('vqav2/v2_mscoco_val2014_annotations.json'),
    images: path('coco/images'),
  });
  expect(vqa.length).toBe(12);
  for (const record of recordsOf(vqa)) {
    const scene = sceneOf(record.imageId);
    await expectPicture(record, scene);
    const asked = askScene(scene, sceneRandom({ seed, index: Number(record.imageId) - 1 }, 'questions'));
    // All questions of a scene are drawn before the first annotator answers.
    const answer = asked.find(({ text }) => text === record.question!.text)!.answer;
    expect(record.question!.answers!.find((one) => one.answer === answer)!.weight).toBeGreaterThanOrEqual(0.8);
  }
  const gqa = await readGqa(path('gqa/testdev_balanced_questions.json'), { images: path('gqa/images') });
  expect(gqa.length).toBe(8);
  for (const record of recordsOf(gqa)) await expectPicture(record, sceneOf(record.imageId));
});
