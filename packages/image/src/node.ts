import { type FileHandle, open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ImageError } from '@blip2/core';
import type { Sharp } from 'sharp';
import { cmykToRgb } from './cmyk.ts';
import { decodeBytes, undecodable } from './decode-bytes.ts';
import type { DecodeImageOptions } from './decode-options.ts';
import { decodeGif } from './formats/gif.ts';
import { decodePng } from './formats/png.ts';
import type { ImageHeader } from './image-header.ts';
import { assertByteCount, type ByteSource, isFetchUrl, kindOf, nameOf, readBytes } from './read-bytes.ts';
import type { RgbImage } from './rgb-image.ts';

export * from './index.ts';

/** What {@link decodeImage} reads in Node: a path, a `file:`, `http(s):` or `data:` URL, bytes, or a Blob. */
export type ImageSource = string | ByteSource;

/**
 * Reads an image file into RGB pixels, with the bytes that Pillow's `Image.open(source).convert("RGB")` gives: alpha is
 * dropped without blending, colour profiles and gamma are not applied. JPEG, PNG, WebP, GIF (first frame) and AVIF.
 *
 * @param source - Read, not kept. A string is a path unless it starts with `http:`, `https:`, `file:`, `data:` or `blob:`.
 * @returns `[height, width, 3]` bytes, the caller's.
 * @throws {ImageError} when the source is missing, not an image, broken off, damaged, or larger than the limits.
 * @throws the abort signal's reason.
 *
 * @example
 * const { width, height, data } = await decodeImage('cat.jpg');
 *
 * Source: Pillow 12; transformers `load_image`, which applies the EXIF orientation.
 */
export async function decodeImage(source: ImageSource, options: DecodeImageOptions = {}): Promise<RgbImage> {
  options.abortSignal?.throwIfAborted();
  const where = `decodeImage: ${options.name ?? nameOf(source)}`;
  return decodeBytes(await readSource(source, where, options), where, options, decodePixels);
}

async function readSource(source: ImageSource, where: string, options: DecodeImageOptions): Promise<Uint8Array> {
  if (typeof source === 'string' || source instanceof URL) {
    const text = String(source);
    if (/^file:/i.test(text)) return readFile(fileURLToPath(text), where, options);
    if (isFetchUrl(text)) return readBytes(text, where, options);
    if (typeof source === 'string') return readFile(source, where, options);
    throw new ImageError(`${where}: found a ${source.protocol} URL, expected file:, http:, https: or data:. Download it first.`);
  }
  if (source instanceof Uint8Array || source instanceof ArrayBuffer || source instanceof Blob) {
    return readBytes(source, where, options);
  }
  throw new ImageError(
    `${where}: found ${kindOf(source)}, expected a path, URL, Uint8Array, ArrayBuffer or Blob. ` +
      `Decoded pixels ({ width, height, data }) need no decoding.`,
  );
}

/** What to say of the errors a user can do something about. */
const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'found no such file, expected an image file. Check the path',
  ENOTDIR: 'found no such file, expected an image file. Check the path',
  EACCES: 'the file may not be read, expected a readable image file. Check its permissions',
  EPERM: 'the file may not be read, expected a readable image file. Check its permissions',
};

async function readFile(path: string, where: string, options: DecodeImageOptions): Promise<Uint8Array> {
  let file: FileHandle | undefined;
  try {
    file = await open(path);
    const stats = await file.stat();
    if (stats.isDirectory()) {
      throw new ImageError(`${where}: found a directory, expected an image file. Pass one of the files in it.`);
    }
    if (!stats.isFile()) throw new ImageError(`${where}: found a device or pipe, expected an image file. Pass its bytes.`);
    assertByteCount(stats.size, where, options);
    return await file.readFile({ signal: options.abortSignal });
  } catch (cause) {
    options.abortSignal?.throwIfAborted(); // with the caller's reason
    const known = FILE_ERRORS[(cause as NodeJS.ErrnoException).code ?? ''];
    if (known === undefined) throw cause;
    throw new ImageError(`${where}: ${known}.`, { cause });
  } finally {
    await file?.close();
  }
}

/**
 * libvips decodes, except where its pixels are not Pillow's: it makes the transparent pixels of a GIF black and stretches
 * 16-bit grey instead of clipping it.
 */
async function decodePixels(bytes: Uint8Array, header: ImageHeader, where: string, maxPixels: number): Promise<RgbImage> {
  if (header.format === 'GIF') return decodeGif(bytes, where);
  if (header.isGray16 === true) return decodePng(bytes, where);
  const isCmyk = header.components === 4;
  try {
    const image = await openSharp(bytes, maxPixels);
    // libvips would turn CMYK into RGB with a colour profile; Pillow has a formula.
    const plain = isCmyk ? image.pipelineColourspace('cmyk').toColourspace('cmyk') : image.toColourspace('srgb').removeAlpha();
    const { data, info } = await plain.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return {
      width: info.width,
      height: info.height,
      data: isCmyk ? cmykToRgb(data) : new Uint8Array(data.buffer, data.byteOffset, data.length),
    };
  } catch (cause) {
    throw undecodable(where, header, 'libvips', cause);
  }
}

async function openSharp(bytes: Uint8Array, maxPixels: number): Promise<Sharp> {
  // Loaded at the first image: a program that decodes none does not start a native library.
  const { default: sharp } = await import('sharp');
  return sharp(bytes, {
    failOn: 'error', // Pillow refuses truncated files and tolerates what libjpeg only warns of
    ignoreIcc: true,
    limitInputPixels: Number.isFinite(maxPixels) ? maxPixels : false,
  });
}
