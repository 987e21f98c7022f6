import { describeScene } from '../captions.ts';
import { sceneRandom } from '../random.ts';
import type { JsonList } from './json-list.ts';
import type { PartName } from './plan.ts';
import { createVqaFiles } from './vqa.ts';
import {
  cocoImage,
  cocoInfo,
  createList,
  imageIdOf,
  karpathySentence,
  makeFolder,
  writePart,
  type WorldWriter,
} from './world-writer.ts';

/** A folder of images with its split's name in COCO. */
export type CocoFolder = 'train2014' | 'val2014';

/** Karpathy's parts of COCO's two folders. */
const FOLDERS: Readonly<Record<CocoFolder, readonly PartName[]>> = {
  train2014: ['coco train'],
  val2014: ['coco restval', 'coco val', 'coco test'],
};

/** Numbers that run through Karpathy's file. */
interface KarpathyCount {
  readonly list: JsonList;
  images: number;
  sentences: number;
}

/** `COCO_val2014_000000000042.png` */
export function cocoFileName(folder: CocoFolder, id: number): string {
  return `COCO_${folder}_${String(id).padStart(12, '0')}.png`;
}

/**
 * COCO's captions, Karpathy's splits, and VQAv2's questions about the same images.
 *
 * Source: captions_{train,val}2014.json of COCO; dataset_coco.json of Karpathy and Fei-Fei, "Deep visual-semantic alignments".
 */
export async function writeCocoAndVqa(world: WorldWriter): Promise<void> {
  for (const folder of ['coco/annotations', 'coco/images/train2014', 'coco/images/val2014', 'vqav2'])
    await makeFolder(world, folder);
  await using list = await createList(world, 'coco/dataset_coco.json', '{"images":[', '],"dataset":"coco"}');
  const karpathy: KarpathyCount = { list, images: 0, sentences: 0 };
  let captionId = 1;
  for (const folder of Object.keys(FOLDERS) as CocoFolder[]) {
    await using captions = await createCaptionList(world, folder);
    await using vqa = await createVqaFiles(world, folder);
    for (const name of FOLDERS[folder]) {
      const fileOf = ({ id }: { readonly id: number }): string => `coco/images/${folder}/${cocoFileName(folder, id)}`;
      await writePart(world, name, fileOf, async (planned) => {
        const texts = describeScene(planned.scene, sceneRandom(planned, 'captions'));
        for (const caption of texts) await captions.add({ image_id: planned.id, id: captionId++, caption });
        await addToKarpathy(karpathy, folder, planned.id, name.slice('coco '.length), texts);
        await vqa.add(planned);
      });
    }
    await captions.end();
    await vqa.end();
  }
  await list.end();
}

async function createCaptionList(world: WorldWriter, folder: CocoFolder): Promise<JsonList> {
  const head = `{${cocoInfo(`Shapes world, ${folder}`)},"type":"captions","images":[`;
  const captions = await createList(world, `coco/annotations/captions_${folder}.json`, head, ']}');
  for (const name of FOLDERS[folder]) {
    const part = world.parts[name];
    for (let place = 0; place < part.count; place++) {
      const id = imageIdOf(part, place);
      await captions.add(cocoImage(id, cocoFileName(folder, id), world.size));
    }
  }
  captions.between('],"annotations":[');
  return captions;
}

async function addToKarpathy(
  karpathy: KarpathyCount,
  folder: CocoFolder,
  cocoid: number,
  split: string,
  captions: readonly string[],
): Promise<void> {
  const imgid = karpathy.images++;
  const sentences = captions.map((caption) => karpathySentence(caption, imgid, karpathy.sentences++));
  const sentids = sentences.map(({ sentid }) => sentid);
  await karpathy.list.add({ filepath: folder, sentids, filename: cocoFileName(folder, cocoid), imgid, split, sentences, cocoid });
}
