/**
 * The losses that train BLIP-2, as pure functions of tensors: contrast, matching with hard negatives, captioning, language
 * modelling.
 */
export * from './captioning.ts';
export {
  type ContrastiveFeatures,
  type ContrastiveLoss,
  contrastiveLoss,
  type ContrastiveOptions,
  type GatheredFeatures,
  type ImageIds,
} from './contrastive.ts';
export * from './hard-negatives.ts';
export * from './matching.ts';
export * from './next-token.ts';
export * from './prefix-split.ts';
