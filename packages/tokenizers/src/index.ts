export type { TokenizerKind } from './pipeline.ts';
export { processCaption, processQuestion, type TextProcessorOptions } from './text-processors.ts';
export { createTextStream, type TextStream } from './text-stream.ts';
export { encodeBatch, type EncodeBatchOptions } from './token-batch.ts';
export { createTokenizer, loadTokenizer, type TokenizerOptions } from './tokenizer.ts';
export { TOKENIZER_FILES, type TokenizerFiles } from './tokenizer-files.ts';
