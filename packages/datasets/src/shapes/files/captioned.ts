import { describeScene } from '../captions.ts';
import { sceneRandom } from '../random.ts';
import type { Domain } from '../scene.ts';
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

const NOCAPS_CAPTIONS = 10;
const DOMAINS: readonly Domain[] = ['in', 'near', 'out'];

/**
 * NoCaps' validation split: images of three domains, ten captions each.
 *
 * Source: nocaps_val_4500_captions.json, nocaps.org.
 */
export async function writeNoCaps(world: WorldWriter): Promise<void> {
  await makeFolder(world, 'nocaps/images');
  const opening = `{${cocoInfo('Shapes world, validation by domain')},"images":[`;
  await using list = await createList(world, 'nocaps/nocaps_val_4500_captions.json', opening, ']}');
  for (const domain of DOMAINS) {
    const part = world.parts[`nocaps ${domain}`];
    for (let place = 0; place < part.count; place++) {
      const id = imageIdOf(part, place);
      const open_images_id = openImagesId(world.seed, id);
      const image = cocoImage(id, `${open_images_id}.png`, world.size);
      await list.add({ ...image, open_images_id, domain: `${domain}-domain` });
    }
  }
  list.between('],"annotations":[');
  let captionId = 0;
  for (const domain of DOMAINS) {
    const fileOf = ({ id }: { readonly id: number }): string => `nocaps/images/${openImagesId(world.seed, id)}.png`;
    await writePart(world, `nocaps ${domain}`, fileOf, async (planned) => {
      const captions = describeScene(planned.scene, sceneRandom(planned, 'captions'), NOCAPS_CAPTIONS);
      for (const caption of captions) await list.add({ image_id: planned.id, caption, id: captionId++ });
    });
  }
  await list.end();
}

/** Sixteen hexadecimal digits, as Open Images names its files: the seed's and the image's number. */
function openImagesId(seed: number, id: number): string {
  return [seed, id].map((number) => (number >>> 0).toString(16).padStart(8, '0')).join('');
}

/**
 * Flickr30K, for retrieval.
 *
 * Source: dataset_flickr30k.json of Karpathy and Fei-Fei.
 */
export async function writeFlickr30k(world: WorldWriter): Promise<void> {
  await makeFolder(world, 'flickr30k/flickr30k-images');
  await using list = await createList(world, 'flickr30k/dataset_flickr30k.json', '{"images":[', '],"dataset":"flickr30k"}');
  let imgid = 0;
  let sentid = 0;
  for (const split of ['train', 'val', 'test'] as const) {
    const fileOf = ({ id }: { readonly id: number }): string => `flickr30k/flickr30k-images/${id}.png`;
    await writePart(world, `flickr30k ${split}`, fileOf, async (planned) => {
      const captions = describeScene(planned.scene, sceneRandom(planned, 'captions'));
      const sentences = captions.map((caption) => karpathySentence(caption, imgid, sentid++));
      const sentids = sentences.map((sentence) => sentence.sentid);
      await list.add({ sentids, imgid: imgid++, sentences, split, filename: `${planned.id}.png` });
    });
  }
  await list.end();
}
