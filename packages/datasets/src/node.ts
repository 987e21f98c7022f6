export * from './index.ts';
export * from './feature-store/index.ts';
export * from './shapes/node.ts';
