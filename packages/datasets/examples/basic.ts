// A small data set on disk, read, mixed, loaded as pixels, and resumed in the middle: node packages/datasets/examples/basic.ts
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as datasets from '@blip2/datasets/node';

const parent = await mkdtemp(join(tmpdir(), 'blip2-example-'));
try {
  // Pictures of shapes in COCO's format, so that nothing has to be downloaded.
  const world = join(parent, 'world');
  await datasets.writeShapesWorld(world, { seed: 1, counts: datasets.shapesWorldCounts(8), size: 64 });
  const images = join(world, 'coco/images');
  const captions = await datasets.readCocoCaptions(join(world, 'coco/dataset_coco.json'), { images, split: 'train' });
  const first = captions.at(0);
  console.log(`${captions.length} captions; ${first.key}: "${first.captions?.[0]}"`);

  // A table of our own beside them.
  const name = 'train2014/COCO_train2014_000000000001.png';
  await writeFile(join(images, 'metadata.jsonl'), JSON.stringify({ image: name, text: 'shapes on a wall' }));
  const own = await datasets.readFolder(images, { name: 'own' });

  const open = (): datasets.RecordStream<datasets.LoadedImage> => {
    const parts = [captions, own].map((one) => ({ stream: datasets.streamDataset(one, { seed: 1 }), weight: one.length }));
    return datasets.loadPixels(datasets.mixStreams(parts, { seed: 1 }), { size: 32, seed: 1, workers: 2 });
  };
  await using loader = open();
  for (let row = 0; row < 3; row++) await loader.next();
  const position = JSON.stringify(loader.position()); // goes into a checkpoint
  const expected = await loader.next();

  await using resumed = open();
  await resumed.seek(JSON.parse(position) as datasets.StreamPosition);
  const found = await resumed.next();
  console.log(`row 3 is ${expected?.record.key}; after a new start ${found?.record.key}`);
  console.log(`equal pixels: ${expected?.image.data.every((byte, index) => byte === found?.image.data[index])}`);
} finally {
  await rm(parent, { recursive: true });
}
