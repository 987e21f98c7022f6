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
