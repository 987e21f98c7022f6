import type { SceneObject } from '../scene.ts';
import { DISTANCES } from './distances.ts';

/**
 * Whether a point of the image belongs to an object: what a segmentation of the picture would say.
 *
 * @param x - And `y`: shares of the image's side, as in the object.
 *
 * @example
 * const isShown = scene.objects.some((object) => coversPoint(object, 0.5, 0.5));
 */
export function coversPoint(object: SceneObject, x: number, y: number): boolean {
  const [awayX, awayY] = [(x - object.x) / object.radius, (y - object.y) / object.radius];
  const [cosine, sine] = [Math.cos(object.angle), Math.sin(object.angle)];
  return DISTANCES[object.shape](awayX * cosine + awayY * sine, awayY * cosine - awayX * sine) < 0;
}
