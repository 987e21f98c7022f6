export { generate, streamTokens } from './generate.ts';
export type { GeneratedSequence } from './generated-sequence.ts';
export {
  applyRepetitionPenalty,
  applyTemperature,
  forbidRepeatedNgrams,
  forbidTokens,
  keepTopK,
  keepTopP,
  logSoftmax,
  type ScoreRow,
} from './logits-processors.ts';
export type { AbortOptions } from './session-driver.ts';
