import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One of the demo's images and what is true of it. */
export interface DemoScene {
  readonly file: string;
  /** As a person might put it. */
  readonly caption: string;
  readonly questions: readonly { readonly text: string; readonly answer: string }[];
}

const folder = new URL('images/', import.meta.url);

export function readScenes(): readonly DemoScene[] {
  return JSON.parse(readFileSync(new URL('scenes.json', folder), 'utf8')) as DemoScene[];
}

export function imagePath({ file }: Pick<DemoScene, 'file'>): string {
  return fileURLToPath(new URL(file, folder));
}
