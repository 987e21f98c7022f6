export * from './index.ts';
export * from './feature-store/index.ts';
