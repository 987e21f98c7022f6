import { ImageError } from '@blip2/core';
import type { RgbImage } from './rgb-image.ts';

/** Four bytes a pixel to three. */
export function dropAlpha(rgba: Uint8Array | Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from]!;
    rgb[to++] = rgba[from + 1]!;
    rgb[to++] = rgba[from + 2]!;
  }
  return rgb;
}

/**
 * Reads the pixels of a bitmap back. A canvas keeps colours multiplied by alpha, which is exact only where the picture is
 * opaque; with transparency the bitmap goes through a WebGL texture, which stores it as it is.
 *
 * @param bitmap - Left open.
 * @throws {ImageError} when the picture has transparency and the browser has no WebGL.
 */
export async function readBitmap(bitmap: ImageBitmap, where: string): Promise<RgbImage> {
  const { width, height } = bitmap;
  const drawn = readThroughCanvas(bitmap);
  if (drawn !== undefined && isOpaque(drawn)) return { width, height, data: dropAlpha(drawn) };
  return { width, height, data: await readThroughTexture(bitmap, where) };
}

/** @returns RGBA, or `undefined` where the browser has no such canvas or none this large. */
function readThroughCanvas(bitmap: ImageBitmap): Uint8ClampedArray | undefined {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', { willReadFrequently: true });
  if (context === null) return undefined;
  try {
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  } catch {
    return undefined; // larger than the browser's largest canvas
  }
}

function isOpaque(rgba: Uint8ClampedArray): boolean {
  for (let alpha = 3; alpha < rgba.length; alpha += 4) if (rgba[alpha] !== 255) return false;
  return true;
}

/** Tiles no larger than a texture may be: every WebGL 2 has 2048, most have 16384. */
async function readThroughTexture(bitmap: ImageBitmap, where: string): Promise<Uint8Array> {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (gl === null) {
    throw new ImageError(
      `${where}: found a picture with transparency, whose exact colours need WebGL, which this browser has switched off. ` +
        `Expected WebGL 2 or an opaque picture. Save the picture as PNG, or switch hardware or software WebGL on.`,
    );
  }
  try {
    const side = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    const rgb = new Uint8Array(width * height * 3);
    for (let top = 0; top < height; top += side) {
      for (let left = 0; left < width; left += side) {
        const [columns, rows] = [Math.min(side, width - left), Math.min(side, height - top)];
        const tile = await createImageBitmap(bitmap, left, top, columns, rows, { premultiplyAlpha: 'none' });
        const pixels = dropAlpha(readTexture(gl, tile));
        tile.close();
        for (let row = 0; row < rows; row++) {
          rgb.set(pixels.subarray(row * columns * 3, (row + 1) * columns * 3), ((top + row) * width + left) * 3);
        }
      }
    }
    return rgb;
  } finally {
    gl.getExtension('WEBGL_lose_context')?.loseContext(); // browsers have only a few contexts
  }
}

/** RGBA of a bitmap, through a texture and a framebuffer. */
function readTexture(gl: WebGL2RenderingContext, bitmap: ImageBitmap): Uint8Array {
  const texture = gl.createTexture();
  const framebuffer = gl.createFramebuffer();
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const pixels = new Uint8Array(bitmap.width * bitmap.height * 4);
  gl.readPixels(0, 0, bitmap.width, bitmap.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  gl.deleteFramebuffer(framebuffer);
  gl.deleteTexture(texture);
  return pixels;
}
