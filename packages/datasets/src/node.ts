export * from './index.ts';
export * from './feature-store/index.ts';
export * from './shapes/node.ts';

export { type LoadedImage, loadPixels, type PixelLoaderOptions } from './pixels/load-pixels.ts';
export { readCocoCaptions, readFlickr30kCaptions, readNoCaps, readVisualGenomeCaptions } from './readers/captions.ts';
export { type FolderReaderOptions, readFolder } from './readers/folder.ts';
export {
  readGqa,
  readVisualGenomeQuestions,
  readVqa,
  type VisualGenomeQuestionOptions,
  type VqaReaderOptions,
} from './readers/questions.ts';
export type { CaptionReaderOptions, ReaderOptions } from './readers/tables.ts';
export { expandShards } from './web-dataset/shard-names.ts';
export { streamWebDataset, type WebDatasetOptions } from './web-dataset/stream-web-dataset.ts';
