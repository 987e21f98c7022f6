import { InputError } from '@blip2/core/errors';
import type { GqaQuestion, GqaSceneGraph } from './questions.ts';

const CELLS = 7; // a side, `eval.py --mapSize`

/** Corners of a box, in fractions of the image. */
type Box = readonly [left: number, top: number, right: number, bottom: number];

/**
 * How much attention lies on the objects that a question and its answer mention: for every cell and every mention, attention times the share of
 * the cell that the object covers. An object that is mentioned twice counts twice.
 *
 * The official script means to add the whole image for questions about the scene, but looks for a key that does not exist; so it never does.
 */
export function groundingScore(
  id: string,
  { annotations }: GqaQuestion,
  { width, height, objects }: GqaSceneGraph,
  attention: readonly (readonly number[])[],
): number {
  if (attention.length !== CELLS || attention.some((row) => row.length !== CELLS))
    throw new InputError(
      `evaluateGqa: the attention of question ${id} has rows of ${attention.map((row) => row.length).join(', ')} numbers, expected ${CELLS} rows of ${CELLS}. Average it to that grid.`,
    );
  const mentioned = [...Object.values(annotations?.question ?? {}), ...Object.values(annotations?.fullAnswer ?? {})];
  let sum = 0;
  for (const name of mentioned) {
    const object = objects[name];
    if (object === undefined)
      throw new InputError(
        `evaluateGqa: question ${id} mentions object ${name}, which its scene graph lacks. Take the scene graphs of the same split.`,
      );
    const { x, y, w, h } = object;
    const box: Box = [x / width, y / height, (x + w) / width, (y + h) / height];
    for (const [i, row] of attention.entries()) for (const [j, value] of row.entries()) sum += value * covered(cell(i, j), box);
  }
  return sum;
}

function cell(i: number, j: number): Box {
  const side = 1 / CELLS;
  return [side * i, side * j, side * (i + 1), side * (j + 1)];
}

/** Share of a cell that a box covers. */
function covered([left, top, right, bottom]: Box, box: Box): number {
  const width = Math.min(right, box[2]) - Math.max(left, box[0]);
  const height = Math.min(bottom, box[3]) - Math.max(top, box[1]);
  return width <= 0 || height <= 0 ? 0 : (width * height) / ((right - left) * (bottom - top));
}
