import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProgressReporter } from '@blip2/core';
import type { SceneKey } from '../random.ts';
import { renderScene } from '../render/render-scene.ts';
import { drawScene, type Scene } from '../scene.ts';
import { encodePng } from './encode-png.ts';
import { JsonList } from './json-list.ts';
import type { PartName, WorldPart } from './plan.ts';

/** What each data set's writer works with. */
export interface WorldWriter {
  /** Where everything is written to; not yet its final place. */
  readonly folder: string;
  readonly seed: number;
  /** Side of the images in pixels. */
  readonly size: number;
  readonly parts: Readonly<Record<PartName, WorldPart>>;
  readonly reporter: ProgressReporter;
  readonly abortSignal: AbortSignal | undefined;
}

/** One scene of a part. */
export interface PlannedScene extends SceneKey {
  readonly scene: Scene;
  /** Number of its image, unique in the world. */
  readonly id: number;
}

/** Compressed at once, on the threads of Node's pool. */
const AT_ONCE = 8;

/** Image number of a part's scene at a place. */
export function imageIdOf({ firstIndex }: WorldPart, place: number): number {
  return firstIndex + place + 1;
}

/**
 * Draws and writes the images of a part, and hands each scene on, in order.
 *
 * @param fileOf - Where an image goes, below the world's folder; the folder is there.
 * @throws the abort signal's reason.
 */
export async function writePart(
  world: WorldWriter,
  name: PartName,
  fileOf: (planned: PlannedScene) => string,
  onScene: (planned: PlannedScene) => Promise<void>,
): Promise<void> {
  const { folder, seed, size, reporter, abortSignal } = world;
  const part = world.parts[name];
  for (let start = 0; start < part.count; start += AT_ONCE) {
    abortSignal?.throwIfAborted();
    const batch = Array.from({ length: Math.min(AT_ONCE, part.count - start) }, (_, offset): PlannedScene => {
      const index = part.firstIndex + start + offset;
      return { seed, index, id: imageIdOf(part, start + offset), scene: drawScene({ seed, index }, { domain: part.domain }) };
    });
    await Promise.all(
      batch.map(async (planned) =>
        writeFile(join(folder, fileOf(planned)), await encodePng(renderScene(planned.scene, { size })), { flag: 'wx' }),
      ),
    );
    for (const planned of batch) await onScene(planned);
    reporter.add(name, batch.length * size * size * 3);
  }
}

/** Makes a folder below the world's. */
export async function makeFolder({ folder }: WorldWriter, path: string): Promise<void> {
  await mkdir(join(folder, path), { recursive: true });
}

/** A list file below the world's folder. */
export async function createList({ folder }: WorldWriter, path: string, opening: string, closing: string): Promise<JsonList> {
  return JsonList.create(join(folder, path), opening, closing);
}

/** The head of COCO's files. Without a date: equal seeds give equal bytes. */
export function cocoInfo(description: string): string {
  const info = { description, url: '', version: '1.0', year: 2026, contributor: 'blip2.js', date_created: '' };
  return `"info":${JSON.stringify(info)},"licenses":[{"id":1,"name":"Apache-2.0","url":"https://www.apache.org/licenses/LICENSE-2.0"}]`;
}

/** An entry of `images` in COCO's files. */
export function cocoImage(id: number, fileName: string, size: number): Record<string, unknown> {
  return { license: 1, file_name: fileName, coco_url: '', height: size, width: size, date_captured: '', flickr_url: '', id };
}

/** A sentence in Karpathy's files. */
export function karpathySentence(raw: string, imgid: number, sentid: number): Record<string, unknown> {
  return { tokens: raw.replaceAll(',', '').split(' '), raw, imgid, sentid };
}
