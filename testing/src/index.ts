export * from './compare.ts';
export * from './golden.ts';
