export { compileFor, type CompileOptions, type Target } from './compile.ts';
export { CompiledFunction } from './compiled-function.ts';
export { engineFor, type OnnxEngineOptions } from './engine.ts';
export { type CompiledDtype } from './quantize/policy.ts';
