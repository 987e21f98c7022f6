import {
  BACKGROUND_NAMES,
  COLOR_NAMES,
  coversPoint,
  KNOWN_SHAPES,
  type Scene,
  type SceneObject,
  SIZES,
  TEXTURES,
  UNSEEN_SHAPES,
} from '@blip2/datasets';

/** What the image encoder is asked about each patch: of an object, where class 0 is none, and of the background, wherever it is. */
export const PATCH_TASKS: Readonly<Record<PatchTask, readonly string[]>> = {
  shape: [...KNOWN_SHAPES, ...UNSEEN_SHAPES],
  color: COLOR_NAMES,
  size: SIZES,
  texture: TEXTURES,
  place: ['1', '2', '3', '4', '5'],
  background: BACKGROUND_NAMES,
};

/**
 * What an object is like, and its number from the left: by that the queries of a Q-Former tell objects apart. Every patch tells the
 * background: queries that have learned to look at objects alone may not find it elsewhere.
 */
export type PatchTask = 'shape' | 'color' | 'size' | 'texture' | 'place' | 'background';

/** And about the whole image, whose class token answers. */
export const IMAGE_TASKS: Readonly<Record<'objects', readonly string[]>> = {
  objects: ['1', '2', '3', '4', '5'],
};

/** Cells a side into which a patch is cut, to be told which of them an object covers. */
export const CELLS = 8;

/**
 * The object that each patch shows, row by row; `undefined` where it is background.
 *
 * @param grid - Patches a side.
 */
export function patchObjects({ objects }: Scene, grid: number): (SceneObject | undefined)[] {
  return Array.from({ length: grid * grid }, (_, patch) => {
    const x = ((patch % grid) + 0.5) / grid;
    const y = (Math.floor(patch / grid) + 0.5) / grid;
    return objects.find((object) => Math.hypot(object.x - x, object.y - y) < object.radius + 0.02);
  });
}

/** Class of each patch for a task: 0 for nothing to tell, else 1 and the place of the word. */
export function patchClasses(
  { objects, background }: Scene,
  patches: readonly (SceneObject | undefined)[],
  task: PatchTask,
): number[] {
  const words: readonly string[] = PATCH_TASKS[task];
  if (task === 'background') return patches.map(() => 1 + words.indexOf(background));
  const fromLeft = objects.toSorted((one, other) => one.x - other.x);
  const wordOf = (object: SceneObject): string => (task === 'place' ? `${1 + fromLeft.indexOf(object)}` : object[task]);
  return patches.map((object) => (object === undefined ? 0 : 1 + words.indexOf(wordOf(object))));
}

/** Where the centre of each patch's object lies from the patch's own, in patches; 0 where there is none. Pairs of x and y. */
export function centreOffsets(patches: readonly (SceneObject | undefined)[], grid: number): number[] {
  return patches.flatMap((object, patch) => {
    if (object === undefined) return [0, 0];
    return [object.x * grid - (patch % grid) - 0.5, object.y * grid - Math.floor(patch / grid) - 0.5];
  });
}

/**
 * Marks the cells of each patch that an object covers, `CELLS · CELLS` numbers a patch, row by row: 1 for covered.
 *
 * @param target - Zeros; filled from `begin` on.
 */
export function markCoveredCells({ objects }: Scene, grid: number, target: Float32Array, begin: number): void {
  const fine = grid * CELLS;
  for (const object of objects) {
    const reach = 1.1 * object.radius * fine;
    const [left, right] = [Math.max(0, Math.floor(object.x * fine - reach)), Math.min(fine, Math.ceil(object.x * fine + reach))];
    const [top, bottom] = [Math.max(0, Math.floor(object.y * fine - reach)), Math.min(fine, Math.ceil(object.y * fine + reach))];
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        if (!coversPoint(object, (column + 0.5) / fine, (row + 0.5) / fine)) continue;
        const patch = Math.floor(row / CELLS) * grid + Math.floor(column / CELLS);
        target[begin + patch * CELLS * CELLS + (row % CELLS) * CELLS + (column % CELLS)] = 1;
      }
    }
  }
}
