import { ConfigError, UnsupportedBackendError } from '@blip2/core';
import type { OrtWebModule } from './ort-api.ts';

/** Where ONNX Runtime's own files are: a folder's URL that ends with `/`, or the URLs of both files. */
export type WasmPaths = string | { readonly mjs?: string | URL; readonly wasm?: string | URL };

/** Settings that a page has once for all its runtimes of one build. */
export interface OrtWebSettings {
  readonly wasmPaths?: WasmPaths;
  readonly threads: number;
}

/** A build of `onnxruntime-web` in this page. */
export interface LoadedOrtWeb {
  readonly ort: OrtWebModule;
  /**
   * Does work of ONNX Runtime after all work before it: the WebAssembly module of the GPU's build can wait for one thing at a time, and
   * files of weights that are handed over for one session are seen by every other that is being made.
   */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** By module: two runtimes may use one build. */
const loaded: Map<OrtWebModule, { readonly settings: OrtWebSettings; readonly result: LoadedOrtWeb }> = new Map();

/**
 * The build of `onnxruntime-web` for a provider. Applications install it themselves.
 *
 * @param importModule - Imports it. @default the package's own build for the provider
 * @throws {UnsupportedBackendError} when it is missing.
 * @throws {ConfigError} when it runs with other settings already.
 */
export async function loadOrtWeb(
  provider: 'webgpu' | 'wasm',
  settings: OrtWebSettings,
  importModule?: () => Promise<unknown>,
): Promise<LoadedOrtWeb> {
  const ort = await importOrt(provider, importModule);
  const known = loaded.get(ort);
  if (known !== undefined) {
    assertSame(known.settings, settings);
    return known.result;
  }
  ort.env.wasm.numThreads = settings.threads;
  if (settings.wasmPaths !== undefined) ort.env.wasm.wasmPaths = settings.wasmPaths;
  const result = { ort, exclusive: createQueue() };
  loaded.set(ort, { settings, result });
  return result;
}

async function importOrt(provider: 'webgpu' | 'wasm', importModule?: () => Promise<unknown>): Promise<OrtWebModule> {
  try {
    // In `try`, so that bundlers of applications without onnxruntime-web warn instead of failing.
    if (importModule !== undefined) return (await importModule()) as OrtWebModule;
    return (provider === 'wasm' ? await import('onnxruntime-web/wasm') : await import('onnxruntime-web/webgpu')) as OrtWebModule;
  } catch (cause) {
    const detail = (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!.replace(/\.$/, '');
    throw new UnsupportedBackendError(
      `createWebRuntime: the package onnxruntime-web could not be loaded: ${detail}. The compiled engine needs it in browsers. Run: npm install ` +
        'onnxruntime-web',
      { cause },
    );
  }
}

function assertSame(present: OrtWebSettings, wanted: OrtWebSettings): void {
  const [is, asked] = [present, wanted].map(({ threads, wasmPaths }) => {
    const paths = typeof wasmPaths === 'object' ? `${wasmPaths.mjs} and ${wasmPaths.wasm}` : (wasmPaths ?? 'their default place');
    return `${threads} threads and its files in ${paths}`;
  });
  if (is === asked) return;
  throw new ConfigError(
    `createWebRuntime: ONNX Runtime runs in this page with ${is}, but ${asked} were asked for; a page has one setting. Pass the same ` +
      'options everywhere.',
  );
}

function createQueue(): LoadedOrtWeb['exclusive'] {
  let last: Promise<unknown> = Promise.resolve();
  let trap: Error | undefined;
  return (work) => {
    const done = last.then(async () => {
      if (trap !== undefined) throw stopped(trap);
      try {
        return await work();
      } catch (cause) {
        trap = trapOf(cause);
        throw cause;
      }
    });
    last = done.catch(() => undefined);
    return done;
  };
}

/** An error after which a WebAssembly module is in no state to go on: the next call would wait for ever. */
function trapOf(cause: unknown): Error | undefined {
  if (cause instanceof WebAssembly.RuntimeError) return cause;
  return cause instanceof Error && cause.cause instanceof WebAssembly.RuntimeError ? cause.cause : undefined;
}

function stopped(trap: Error): UnsupportedBackendError {
  return new UnsupportedBackendError(
    `ONNX Runtime stopped at an earlier call in this page (${trap.message}) and computes nothing any more. Reload the page; a function that does so again ` +
      'needs other inputs or the provider that did not stop.',
    { cause: trap },
  );
}
