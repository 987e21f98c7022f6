import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Progress } from '@blip2/core';
import { decodeImage } from '@blip2/image/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captionFits } from '../read-caption.ts';
import { renderScene } from '../render/render-scene.ts';
import { drawScene, type Scene } from '../scene.ts';
import { type ShapesWorldCounts, shapesWorldCounts } from './plan.ts';
import { writeShapesWorld } from './write-shapes-world.ts';

const COUNTS: ShapesWorldCounts = {
  coco: { train: 9, restval: 2, val: 3, test: 3 },
  gqa: { train: 3, val: 2, testdev: 2 },
  nocaps: { in: 2, near: 2, out: 2 },
  flickr30k: { train: 1, val: 1, test: 3 },
};
const scratch = mkdtempSync(join(tmpdir(), 'blip2-shapes-'));
const world = join(scratch, 'world');
const progress: Progress[] = [];

beforeAll(async () => {
  await writeShapesWorld(world, { seed: 5, counts: COUNTS, size: 48, onProgress: (event) => progress.push(event) });
});
afterAll(() => rmSync(scratch, { recursive: true }));

function read<Content>(path: string): Content {
  return JSON.parse(readFileSync(join(world, path), 'utf8')) as Content;
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}

function hashesOf(folder: string): Map<string, string> {
  return new Map(
    filesOf(folder).map((file) => [
      file,
      createHash('sha256')
        .update(readFileSync(join(folder, file)))
        .digest('hex'),
    ]),
  );
}

interface Karpathy {
  readonly images: readonly {
    readonly filepath?: string;
    readonly filename: string;
    readonly cocoid?: number;
    readonly imgid: number;
    readonly split: string;
    readonly sentids: readonly number[];
    readonly sentences: readonly {
      readonly raw: string;
      readonly tokens: readonly string[];
      readonly imgid: number;
      readonly sentid: number;
    }[];
  }[];
}
interface CocoCaptions {
  readonly images: readonly {
    readonly id: number;
    readonly file_name: string;
    readonly domain?: string;
    readonly open_images_id?: string;
  }[];
  readonly annotations: readonly { readonly image_id: number; readonly id: number; readonly caption: string }[];
}

const sceneOf = (id: number, domain: Scene['domain'] = 'in'): Scene => drawScene({ seed: 5, index: id - 1 }, { domain });

describe('the files', () => {
  test('have the official names', () => {
    expect(filesOf(world).filter((file) => !file.endsWith('.png'))).toMatchInlineSnapshot(`
      [
        "coco/annotations/captions_train2014.json",
        "coco/annotations/captions_val2014.json",
        "coco/dataset_coco.json",
        "flickr30k/dataset_flickr30k.json",
        "gqa/testdev_balanced_questions.json",
        "gqa/train_balanced_questions.json",
        "gqa/val_balanced_questions.json",
        "nocaps/nocaps_val_4500_captions.json",
        "shapes-world.json",
        "vqav2/v2_OpenEnded_mscoco_train2014_questions.json",
        "vqav2/v2_OpenEnded_mscoco_val2014_questions.json",
        "vqav2/v2_mscoco_train2014_annotations.json",
        "vqav2/v2_mscoco_val2014_annotations.json",
      ]
    `);
    expect(filesOf(world).filter((file) => /0*1\.png$/.test(file))).toMatchInlineSnapshot(`
      [
        "coco/images/train2014/COCO_train2014_000000000001.png",
        "coco/images/val2014/COCO_val2014_000010000001.png",
        "coco/images/val2014/COCO_val2014_000020000001.png",
        "coco/images/val2014/COCO_val2014_000030000001.png",
        "flickr30k/flickr30k-images/100000001.png",
        "flickr30k/flickr30k-images/110000001.png",
        "flickr30k/flickr30k-images/120000001.png",
        "gqa/images/n40000001.png",
        "gqa/images/n50000001.png",
        "gqa/images/n60000001.png",
        "nocaps/images/00000005042c1d81.png",
        "nocaps/images/0000000504c4b401.png",
        "nocaps/images/00000005055d4a81.png",
      ]
    `);
    expect(filesOf(world).filter((file) => file.endsWith('.png'))).toHaveLength(35);
    expect(read('shapes-world.json')).toEqual({ seed: 5, size: 48, counts: COUNTS });
  });

  test('COCO: captions are of their images, which are the scenes', async () => {
    for (const [folder, count] of Object.entries({ train2014: 9, val2014: 8 })) {
      const { images, annotations } = read<CocoCaptions>(`coco/annotations/captions_${folder}.json`);
      expect(images).toHaveLength(count);
      expect(annotations).toHaveLength(count * 5);
      for (const { id, file_name } of images) {
        const { data } = await decodeImage(join(world, 'coco/images', folder, file_name));
        expect(Buffer.compare(data, renderScene(sceneOf(id), { size: 48 }).data)).toBe(0);
      }
      for (const { image_id, caption } of annotations) expect(captionFits(sceneOf(image_id), caption)).toBe(true);
      expect(new Set(annotations.map(({ id }) => id)).size).toBe(annotations.length);
    }
  });

  test('Karpathy: splits, sentences and numbers', () => {
    const { images } = read<Karpathy>('coco/dataset_coco.json');
    expect(images.map(({ split }) => split).join(' ')).toBe(
      [
        ...Array<string>(9).fill('train'),
        'restval',
        'restval',
        ...Array<string>(3).fill('val'),
        ...Array<string>(3).fill('test'),
      ].join(' '),
    );
    const captions = ['train2014', 'val2014'].flatMap(
      (folder) => read<CocoCaptions>(`coco/annotations/captions_${folder}.json`).annotations,
    );
    for (const [place, { filepath, filename, cocoid, imgid, sentids, sentences }] of images.entries()) {
      expect(filename).toBe(`COCO_${filepath}_${String(cocoid).padStart(12, '0')}.png`);
      expect(imgid).toBe(place);
      expect(sentids).toEqual([0, 1, 2, 3, 4].map((offset) => 5 * place + offset));
      expect(sentences.map(({ sentid }) => sentid)).toEqual(sentids);
      expect(sentences.map(({ raw }) => raw)).toEqual(
        captions.filter(({ image_id }) => image_id === cocoid).map(({ caption }) => caption),
      );
      for (const { raw, tokens } of sentences) expect(tokens.join(' ')).toBe(raw.replaceAll(',', ''));
    }
  });

  test('VQAv2: each question has its annotation, with ten answers', () => {
    for (const [folder, count] of Object.entries({ train2014: 9, val2014: 8 })) {
      const { questions } = read<{ questions: { image_id: number; question: string; question_id: number }[] }>(
        `vqav2/v2_OpenEnded_mscoco_${folder}_questions.json`,
      );
      const { annotations } = read<{
        annotations: {
          question_id: number;
          image_id: number;
          question_type: string;
          answer_type: string;
          multiple_choice_answer: string;
          answers: { answer: string; answer_id: number }[];
        }[];
      }>(`vqav2/v2_mscoco_${folder}_annotations.json`);
      expect(questions).toHaveLength(count * 6);
      expect(annotations.map(({ question_id, image_id }) => [question_id, image_id])).toEqual(
        questions.map(({ question_id, image_id }) => [question_id, image_id]),
      );
      for (const [place, { question }] of questions.entries()) {
        const { question_type, answers, multiple_choice_answer } = annotations[place]!;
        expect(question).toMatch(new RegExp(`^${question_type} `));
        expect(answers.map(({ answer_id }) => answer_id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        expect(answers.filter(({ answer }) => answer === multiple_choice_answer).length).toBeGreaterThanOrEqual(8);
      }
    }
  });

  test('GQA: questions by id, about images that are there; what they entail is there', () => {
    for (const [split, count] of Object.entries({ train: 3, val: 2, testdev: 2 })) {
      const questions = read<Record<string, { imageId: string; entailed: string[]; equivalent: string[]; isBalanced: boolean }>>(
        `gqa/${split}_balanced_questions.json`,
      );
      expect(Object.keys(questions)).toHaveLength(count * 8);
      for (const [id, { imageId, entailed, equivalent, isBalanced }] of Object.entries(questions)) {
        expect(filesOf(join(world, 'gqa/images'))).toContain(`${imageId}.png`);
        expect(equivalent).toContain(id);
        expect([...entailed, ...equivalent].every((other) => questions[other]?.imageId === imageId)).toBe(true);
        expect(isBalanced).toBe(true);
      }
    }
    const [first] = Object.entries(read<Record<string, unknown>>('gqa/val_balanced_questions.json'));
    expect(first).toMatchInlineSnapshot(`
      [
        "5000000100",
        {
          "annotations": {
            "answer": {},
            "fullAnswer": {},
            "question": {},
          },
          "answer": "plain",
          "entailed": [],
          "equivalent": [
            "5000000100",
          ],
          "fullAnswer": "the pink object is plain.",
          "groups": {
            "global": "texture",
            "local": "choose-object_texture",
          },
          "imageId": "n50000001",
          "isBalanced": true,
          "question": "is the pink object plain or striped?",
          "semantic": [
            {
              "argument": "object (0)",
              "dependencies": [],
              "operation": "select",
            },
            {
              "argument": "pink",
              "dependencies": [
                0,
              ],
              "operation": "filter color",
            },
            {
              "argument": "plain|striped",
              "dependencies": [
                1,
              ],
              "operation": "choose texture",
            },
          ],
          "semanticStr": "select: object (0)->filter color: pink [0]->choose texture: plain|striped [1]",
          "types": {
            "detailed": "chooseAttr",
            "semantic": "attr",
            "structural": "choose",
          },
        },
      ]
    `);
  });

  test('NoCaps: ten captions for each image of each domain', () => {
    const { images, annotations } = read<CocoCaptions>('nocaps/nocaps_val_4500_captions.json');
    expect(images.map(({ domain }) => domain)).toEqual(
      ['in', 'in', 'near', 'near', 'out', 'out'].map((domain) => `${domain}-domain`),
    );
    expect(annotations).toHaveLength(60);
    for (const { id, domain, file_name, open_images_id } of images) {
      expect(file_name).toBe(`${open_images_id}.png`);
      expect(file_name).toMatch(/^[0-9a-f]{16}\.png$/);
      const own = annotations.filter(({ image_id }) => image_id === id).map(({ caption }) => caption);
      expect(new Set(own).size).toBe(10);
      const scene = sceneOf(id, domain!.replace('-domain', '') as Scene['domain']);
      for (const caption of own) expect(captionFits(scene, caption)).toBe(true);
    }
  });

  test('Flickr30K: five captions an image, no ids of COCO', () => {
    const { images } = read<Karpathy>('flickr30k/dataset_flickr30k.json');
    expect(images.map(({ split }) => split)).toEqual(['train', 'val', 'test', 'test', 'test']);
    for (const { filename, sentences, cocoid, filepath } of images) {
      expect([cocoid, filepath]).toEqual([undefined, undefined]);
      expect(sentences).toHaveLength(5);
      for (const { raw } of sentences) expect(captionFits(sceneOf(Number.parseInt(filename)), raw)).toBe(true);
    }
  });
});

test('equal seeds give equal bytes, other seeds other pictures', async () => {
  const [again, other] = [join(scratch, 'again'), join(scratch, 'other')];
  await writeShapesWorld(again, { seed: 5, counts: COUNTS, size: 48 });
  expect(hashesOf(again)).toEqual(hashesOf(world));
  await writeShapesWorld(other, { seed: 6, counts: COUNTS, size: 48 });
  const pictures = [world, other].flatMap((folder) =>
    [...hashesOf(folder)].filter(([file]) => file.endsWith('.png')).map(([, hash]) => hash),
  );
  expect(new Set(pictures).size).toBe(70);
});

test('a part does not depend on how many images the others have', async () => {
  const smaller = join(scratch, 'smaller');
  await writeShapesWorld(smaller, { seed: 5, size: 48, counts: { ...COUNTS, coco: { train: 1, restval: 0, val: 2, test: 1 } } });
  const all = hashesOf(world);
  for (const [file, hash] of hashesOf(smaller))
    if (file.endsWith('.png') || file.startsWith('gqa')) expect(all.get(file)).toBe(hash);
});

test('progress rises to the total', () => {
  const loaded = progress.map(({ loadedBytes }) => loadedBytes);
  expect(loaded).toEqual(loaded.toSorted((first, second) => first - second));
  expect(loaded.at(-1)).toBe(35 * 48 * 48 * 3);
  expect(new Set(progress.map(({ totalBytes }) => totalBytes))).toEqual(new Set([35 * 48 * 48 * 3]));
});

test('an abort leaves nothing behind', async () => {
  const controller = new AbortController();
  const folder = join(scratch, 'aborts');
  mkdirSync(folder);
  const written = writeShapesWorld(join(folder, 'world'), {
    seed: 1,
    counts: COUNTS,
    size: 48,
    abortSignal: controller.signal,
    onProgress: ({ part }) => {
      if (part === 'gqa train') controller.abort();
    },
  });
  await expect(written).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(readdirSync(folder)).toEqual([]);
});

test('what cannot be used is refused', async () => {
  const taken = join(scratch, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'notes.txt'), 'mine');
  const refusal = async (...given: Parameters<typeof writeShapesWorld>): Promise<string> => {
    const error: unknown = await writeShapesWorld(...given).catch((cause: unknown) => cause);
    return String(error).replaceAll(scratch, 'SCRATCH');
  };
  expect([
    await refusal(taken, { seed: 1, counts: COUNTS }),
    await refusal(join(scratch, 'no', 'such', 'folder'), { seed: 1, counts: COUNTS }),
    await refusal(join(scratch, 'new'), { seed: 0.5, counts: COUNTS }),
    await refusal(join(scratch, 'new'), { seed: 1, counts: COUNTS, size: 16 }),
    await refusal(join(scratch, 'new'), { seed: 1, counts: { ...COUNTS, nocaps: { in: 1, near: -1, out: 1 } } }),
  ]).toMatchInlineSnapshot(`
    [
      "CheckpointError: SCRATCH/taken: already exists and holds notes.txt. Name a folder that does not exist yet, or remove this one.",
      "CheckpointError: SCRATCH/no/such/folder: cannot be written: there is no such file or folder. Check the path.",
      "InputError: writeShapesWorld: seed is 0.5, expected a whole number. Pass 1, or any other.",
      "InputError: writeShapesWorld: size is 16, expected a whole number of pixels, 32 or more. Pass 128.",
      "InputError: writeShapesWorld: counts of nocaps near is -1, expected a whole number from 0 to 10,000,000. Pass the number of images.",
    ]
  `);
  expect(filesOf(taken)).toEqual(['notes.txt']);
});

test('counts keep their proportions', () => {
  expect(shapesWorldCounts()).toMatchInlineSnapshot(`
    {
      "coco": {
        "restval": 0,
        "test": 1000,
        "train": 10000,
        "val": 1000,
      },
      "flickr30k": {
        "test": 1000,
        "train": 0,
        "val": 0,
      },
      "gqa": {
        "testdev": 500,
        "train": 2000,
        "val": 500,
      },
      "nocaps": {
        "in": 300,
        "near": 300,
        "out": 300,
      },
    }
  `);
  expect(shapesWorldCounts(1).nocaps).toEqual({ in: 1, near: 1, out: 1 });
  expect(() => shapesWorldCounts(0)).toThrowErrorMatchingInlineSnapshot(
    `[InputError: shapesWorldCounts: train is 0, expected a whole number from 1 to 10,000,000. Pass the number of images.]`,
  );
});
