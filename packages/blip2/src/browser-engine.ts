import { ConfigError, type Engine } from '@blip2/core';
import { asksForCompiled, type Dtype, type EngineChoice, type PartEngines, resolveEngines } from './engine-choice.ts';

/** Where ONNX Runtime computes in a browser, and where its files are. */
interface BrowserTarget {
  /** @default 'webgpu' where the browser has a GPU, else 'wasm' */
  readonly provider?: 'webgpu' | 'wasm';
  /** Threads of one operation in ONNX Runtime, for `wasm` in a page that is isolated from other origins. @default 1, or with `wasmPaths` the cores */
  readonly threads?: number;
  /**
   * Where the files of `onnxruntime-web` are served: a folder's URL that ends with `/`, or the URLs of both files.
   * @default beside its script, which is where bundlers put them
   */
  readonly wasmPaths?: string | { readonly mjs?: string | URL; readonly wasm?: string | URL };
}

/** How a model shall be executed in a browser. */
export interface BrowserEngineChoice extends EngineChoice, BrowserTarget {}

/**
 * The engines that `loadBlip2` of 'blip2/browser' would take, to be passed to it or to several models as `engine`. Eager ones unless
 * something of the compiled engine is asked for: it fetches 14 to 27 MB of ONNX Runtime before the first weight.
 *
 * @throws {UnsupportedBackendError} when ONNX Runtime is not installed or does not work in this browser.
 * @throws {ConfigError} for a choice that contradicts itself.
 *
 * @example
 * const engine = await chooseEngines({ engine: 'compiled', provider: 'webgpu' });
 */
export async function chooseEngines(choice: BrowserEngineChoice = {}): Promise<PartEngines> {
  const { provider, threads, wasmPaths } = choice;
  const named = Object.entries({ provider, threads, wasmPaths }).find(([, value]) => value !== undefined)?.[0];
  const engine = choice.engine ?? (named !== undefined || asksForCompiled(choice) ? 'compiled' : 'eager');
  if (engine !== 'compiled' && named !== undefined) {
    throw new ConfigError(
      `loadBlip2: ${named} was given, which is for the compiled engine, but ${engine === 'eager' ? 'the eager engine' : 'an engine of your own'} ` +
        `was chosen. Leave one of them out.`,
    );
  }
  return resolveEngines({ ...choice, engine }, (dtype) => makeCompiledEngine(dtype, { provider, threads, wasmPaths }));
}

/** The compiler is fetched when it is first needed: eager pages do without it. */
async function makeCompiledEngine(dtype: Dtype, target: BrowserTarget): Promise<Engine> {
  const { onnxEngine } = await import('@blip2/compiler/browser');
  return onnxEngine({ ...target, dtype });
}
