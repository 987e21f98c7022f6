export { evaluateCaptionsWithJava } from './node/evaluate.ts';
export type { FullCaptionEvaluation } from './node/evaluate.ts';
export { JavaScorerError } from './node/java.ts';
export type { JavaOptions, JavaScorerName } from './node/java.ts';
export { meteor } from './node/meteor.ts';
export type { MeteorOptions } from './node/meteor.ts';
export { spice } from './node/spice.ts';
export type { SpiceScores } from './node/spice.ts';
export type { SpiceCategories, SpiceScore } from './spice/scores.ts';
