import { InputError } from '@blip2/core';
import type { RgbImage } from '@blip2/image';
import { BACKGROUNDS, COLORS, type Rgb, type Texture } from '../palette.ts';
import type { Scene, SceneObject } from '../scene.ts';
import { DISTANCES } from './distances.ts';

export interface RenderSceneOptions {
  /** Side of the square image in pixels, 32 or more. @default 128 */
  readonly size?: number;
}

/** Noise: up to so many steps of 255, lighter or darker. */
const NOISE = 4;
const LEAST_SIDE = 32;

/**
 * Draws a scene: edges are anti-aliased, objects have a thin dark outline, the background is a slight gradient, and each
 * pixel has a little noise, which the scene's own seed decides.
 *
 * @returns `[size, size, 3]` bytes, the caller's. The same scene gives the same bytes in every run; engines of JavaScript with another
 *   `Math.sin` may differ by one step here and there.
 * @throws {InputError} when the side is not a whole number of at least 32.
 *
 * @example
 * const image = renderScene(drawScene({ seed: 1, index: 0 }), { size: 128 });
 */
export function renderScene(scene: Scene, { size = 128 }: RenderSceneOptions = {}): RgbImage {
  if (!Number.isSafeInteger(size) || size < LEAST_SIDE) {
    throw new InputError(
      `renderScene: size is ${size}, expected a whole number of pixels, ${LEAST_SIDE} or more: smaller objects lose their texture. Pass 128.`,
    );
  }
  const canvas = new Float32Array(size * size * 3);
  fillBackground(canvas, size, scene);
  for (const object of scene.objects) paintObject(canvas, size, object);
  return { width: size, height: size, data: withNoise(canvas, scene.noiseSeed) };
}

function fillBackground(canvas: Float32Array, size: number, { background, gradient, gradientAngle }: Scene): void {
  const [red, green, blue] = BACKGROUNDS[background];
  const stepX = (Math.cos(gradientAngle) * gradient * 2) / size;
  const stepY = (Math.sin(gradientAngle) * gradient * 2) / size;
  const middle = size / 2;
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at += 3) {
      const light = 1 + (x - middle) * stepX + (y - middle) * stepY;
      canvas[at] = red * light;
      canvas[at + 1] = green * light;
      canvas[at + 2] = blue * light;
    }
  }
}

/** Fill, marks of the texture, outline. */
interface Paint {
  readonly fill: Rgb;
  readonly mark: Rgb;
  readonly outline: Rgb;
}

function paintFor({ color, shade }: SceneObject): Paint {
  const base = COLORS[color];
  const fill = mix(base, shade > 0 ? 255 : 0, Math.abs(shade));
  // Marks are almost white or almost black, whichever is farther: a shade of the colour could be taken for another colour.
  const luma = 0.299 * base[0] + 0.587 * base[1] + 0.114 * base[2];
  return { fill, mark: mix(fill, luma < 128 ? 255 : 0, 0.82), outline: mix(fill, 0, 0.55) };
}

function mix([red, green, blue]: Rgb, towards: number, share: number): Rgb {
  const blend = (value: number): number => value + (towards - value) * share;
  return [blend(red), blend(green), blend(blue)];
}

function paintObject(canvas: Float32Array, size: number, object: SceneObject): void {
  const { fill, mark, outline } = paintFor(object);
  const distanceTo = DISTANCES[object.shape];
  const radius = object.radius * size;
  const outlineWidth = size / 110;
  const [centreX, centreY] = [object.x * size, object.y * size];
  const [cosine, sine] = [Math.cos(object.angle) / radius, Math.sin(object.angle) / radius];
  const textureAt = textures[object.texture];
  const period = size * 0.034 + radius * 0.15;
  const reach = radius * 1.1 + 1;
  const [left, top] = [Math.max(0, Math.floor(centreX - reach)), Math.max(0, Math.floor(centreY - reach))];
  const [right, bottom] = [Math.min(size, Math.ceil(centreX + reach)), Math.min(size, Math.ceil(centreY + reach))];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const awayX = x + 0.5 - centreX;
      const awayY = y + 0.5 - centreY;
      const u = awayX * cosine + awayY * sine;
      const v = awayY * cosine - awayX * sine;
      const distance = distanceTo(u, v) * radius;
      const cover = clamp(0.5 - distance);
      if (cover === 0) continue;
      const marked = textureAt(u * radius, v * radius, period);
      const outlined = clamp(distance + outlineWidth + 0.5);
      const at = (y * size + x) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const inside = fill[channel]! + (mark[channel]! - fill[channel]!) * marked;
        const own = inside + (outline[channel]! - inside) * outlined;
        canvas[at + channel] = canvas[at + channel]! + (own - canvas[at + channel]!) * cover;
      }
    }
  }
}

/** How much of a pixel is a mark, 0–1, by its place in the object and the pattern's period, in pixels. */
const textures: Readonly<Record<Texture, (x: number, y: number, period: number) => number>> = {
  plain: () => 0,
  striped(x, y, period) {
    // Slanted: upright or level stripes could lie along an arm of a cross and hide it.
    const across = ((x + y) * Math.SQRT1_2) / period;
    const phase = across - Math.floor(across);
    return clamp((0.21 - Math.abs(phase - 0.5)) * period + 0.5);
  },
  dotted(x, y, period) {
    const row = Math.floor(y / period);
    const across = x / period + (row & 1) / 2;
    const awayX = across - Math.floor(across) - 0.5;
    const awayY = y / period - row - 0.5;
    return clamp((0.31 - Math.sqrt(awayX * awayX + awayY * awayY)) * period + 0.5);
  },
};

function clamp(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

/** Rounds, with noise from a xorshift generator: grain, the same step for the three channels of a pixel. */
function withNoise(canvas: Float32Array, seed: number): Uint8Array {
  const data = new Uint8ClampedArray(canvas.length);
  let state = seed | 1;
  for (let at = 0; at < canvas.length; at += 3) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const noise = ((state >>> 8) % (2 * NOISE + 1)) - NOISE;
    data[at] = canvas[at]! + noise;
    data[at + 1] = canvas[at + 1]! + noise;
    data[at + 2] = canvas[at + 2]! + noise;
  }
  return new Uint8Array(data.buffer);
}
