export { concatenateDatasets, filterDataset, indexedDataset } from './records/indexed-dataset.ts';
export { type BrokenRow, BrokenRows, type BrokenRowsOptions } from './records/broken-rows.ts';
export * from './records/record.ts';
export { streamDataset } from './streams/indexed-stream.ts';
export { type MixOptions, type MixPart, mixStreams } from './streams/mix.ts';
export type { EpochOptions, Rank, RecordStream, StreamPosition } from './streams/record-stream.ts';
export { combineSeeds, permutation } from './streams/seeds.ts';
export { type RecordShard, type ShardStreamOptions, streamShards } from './streams/shard-stream.ts';
export * from './shapes/index.ts';
