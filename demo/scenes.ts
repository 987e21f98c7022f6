import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawScene, type Scene, type SceneKey } from '@blip2/datasets';

/** One of the demo's images and what is true of it. */
export interface DemoScene {
  readonly file: string;
  /** As a person might put it. */
  readonly caption: string;
  readonly questions: readonly { readonly text: string; readonly answer: string }[];
}

/** How many images there are. */
export const SCENES = 12;

const folder = new URL('images/', import.meta.url);

/** The seed is that of no other scenes, so no model has met them. */
export function sceneKey(index: number): SceneKey {
  return { seed: 77, index };
}

/** All that an image shows, to tell whether a caption is true. */
export function sceneAt(index: number): Scene {
  return drawScene(sceneKey(index));
}

export function readScenes(): readonly DemoScene[] {
  return JSON.parse(readFileSync(new URL('scenes.json', folder), 'utf8')) as DemoScene[];
}

export function imagePath({ file }: Pick<DemoScene, 'file'>): string {
  return fileURLToPath(new URL(file, folder));
}
