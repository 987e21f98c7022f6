export * from './augment.ts';
export { DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, type DecodeImageOptions } from './decode-options.ts';
export { type ImageFormat, type ImageHeader, readImageHeader } from './image-header.ts';
export * from './image-processor.ts';
export * from './preprocess.ts';
export { rotate, shearX, shearY, translateX, translateY, type FillColor } from './rand-augment/affine.ts';
export {
  applyRandAugmentOperation,
  RAND_AUGMENT_OPERATIONS,
  randAugment,
  type RandAugmentOperation,
  type RandAugmentOptions,
} from './rand-augment/rand-augment.ts';
export { sharpen } from './rand-augment/sharpness.ts';
export { autoContrast, brighten, equalize, type Overflow } from './rand-augment/tone.ts';
export * from './resize-bicubic.ts';
export {
  applyExifOrientation,
  assertRgbImage,
  centerCrop,
  type ExifOrientation,
  type ImageSize,
  type RgbImage,
} from './rgb-image.ts';
