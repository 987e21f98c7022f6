export * from './augment.ts';
export { DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './decode-options.ts';
export { type ImageFormat, type ImageHeader, readImageHeader } from './image-header.ts';
export * from './image-processor.ts';
export * from './preprocess.ts';
export * from './resize-bicubic.ts';
export {
  applyExifOrientation,
  assertRgbImage,
  centerCrop,
  type ExifOrientation,
  type ImageSize,
  type RgbImage,
} from './rgb-image.ts';
