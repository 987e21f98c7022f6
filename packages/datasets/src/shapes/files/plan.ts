import { InputError } from '@blip2/core';
import type { Domain } from '../scene.ts';

/** How many images each part of a world has. */
export interface ShapesWorldCounts {
  /** COCO and VQAv2. `restval`, `val` and `test` are Karpathy's parts of val2014. */
  readonly coco: { readonly train: number; readonly restval: number; readonly val: number; readonly test: number };
  readonly gqa: { readonly train: number; readonly val: number; readonly testdev: number };
  /** By domain. */
  readonly nocaps: Readonly<Record<Domain, number>>;
  readonly flickr30k: { readonly train: number; readonly val: number; readonly test: number };
}

/** The usual number of training images. */
export const USUAL_COUNT = 10_000;

/**
 * Counts in the usual proportions: for 10,000 images of training 1,000 each for validation, test and retrieval, 2,000, 500 and
 * 500 of GQA, 300 of each domain of NoCaps.
 *
 * @param train - Images of COCO's training split; each other part has at least one.
 * @throws {InputError} when `train` is not a whole number of at least 1.
 */
export function shapesWorldCounts(train: number = USUAL_COUNT): ShapesWorldCounts {
  assertCount('shapesWorldCounts: train', train, 1);
  const share = (usual: number): number => Math.max(1, Math.round((usual * train) / USUAL_COUNT));
  return {
    coco: { train, restval: 0, val: share(1000), test: share(1000) },
    gqa: { train: share(2000), val: share(500), testdev: share(500) },
    nocaps: { in: share(300), near: share(300), out: share(300) },
    flickr30k: { train: 0, val: 0, test: share(1000) },
  };
}

/** A part of a world. Its scenes have numbers of their own, so that they are the same however many the other parts have. */
export interface WorldPart {
  readonly name: string;
  readonly firstIndex: number;
  readonly count: number;
  readonly domain: Domain;
}

/** No part reaches into the next one's numbers. */
export const MOST_IMAGES = 10_000_000;

/** Part of a world by name, with the number of its first scene. @throws {InputError} for a count that is no count. */
export function partsOf({ coco, gqa, nocaps, flickr30k }: ShapesWorldCounts): Readonly<Record<PartName, WorldPart>> {
  const counts: Readonly<Record<PartName, number>> = {
    'coco train': coco.train,
    'coco restval': coco.restval,
    'coco val': coco.val,
    'coco test': coco.test,
    'gqa train': gqa.train,
    'gqa val': gqa.val,
    'gqa testdev': gqa.testdev,
    'nocaps in': nocaps.in,
    'nocaps near': nocaps.near,
    'nocaps out': nocaps.out,
    'flickr30k train': flickr30k.train,
    'flickr30k val': flickr30k.val,
    'flickr30k test': flickr30k.test,
  };
  const parts = Object.entries(counts).map(([name, count], place): [string, WorldPart] => {
    assertCount(`writeShapesWorld: counts of ${name}`, count, 0);
    const domain = name === 'nocaps near' ? 'near' : name === 'nocaps out' ? 'out' : 'in';
    return [name, { name, firstIndex: place * MOST_IMAGES, count, domain }];
  });
  return Object.fromEntries(parts) as Record<PartName, WorldPart>;
}

export type PartName =
  | `coco ${'train' | 'restval' | 'val' | 'test'}`
  | `gqa ${'train' | 'val' | 'testdev'}`
  | `nocaps ${Domain}`
  | `flickr30k ${'train' | 'val' | 'test'}`;

function assertCount(where: string, count: number, least: number): void {
  if (Number.isSafeInteger(count) && count >= least && count <= MOST_IMAGES) return;
  throw new InputError(
    `${where} is ${count}, expected a whole number from ${least} to ${MOST_IMAGES.toLocaleString('en')}. Pass the number of images.`,
  );
}
