export * from './answer.ts';
export * from './blip2.ts';
export * from './caption.ts';
export * from './embed.ts';
export type { ImageDecoder, ImageSource, ImageSources } from './image-input.ts';
export { BLIP2_CONFIGS, type OfficialModel, officialModel } from './configs.ts';
export * from './inspect.ts';
export {
  type Dtype,
  DTYPES,
  type EngineChoice,
  type EngineName,
  ENGINES,
  type ForEachPart,
  type PartEngines,
} from './engine-choice.ts';
export * from './estimate.ts';
export * from './load-blip2.ts';
export { type Measurements, measureBlip2, type MeasureOptions, type StageTimes } from './measure.ts';
export { type Match, match } from './match.ts';
export { type Part, PARTS } from './parts.ts';
export * from './search.ts';
export { asAnswerer, asCaptioner, asMatcher, type MatcherOptions, type ReadImage } from './tasks.ts';
