/** Writing shapes worlds to disk. */
export { shapesWorldCounts, type ShapesWorldCounts } from './files/plan.ts';
export { type ShapesWorldSummary, writeShapesWorld, type WriteShapesWorldOptions } from './files/write-shapes-world.ts';
