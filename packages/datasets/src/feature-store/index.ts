export { createFeatureStore, type CreateFeatureStoreOptions, type FeatureStoreWriter } from './create-feature-store.ts';
export {
  openFeatureStore,
  type FeatureBatch,
  type FeatureStore,
  type OpenFeatureStoreOptions,
  type StreamOptions,
} from './open-feature-store.ts';
export type { FeatureIdentity, FeatureStoreDescription } from './store-description.ts';
export {
  imageEncoder,
  writeFeatures,
  type EncodeFeatures,
  type FeatureRecord,
  type WriteFeaturesOptions,
  type WriteFeaturesProgress,
} from './write-features.ts';
