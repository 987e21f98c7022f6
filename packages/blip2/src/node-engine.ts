import process from 'node:process';
import { ConfigError, type Engine, UnsupportedBackendError } from '@blip2/core';
import { asksForCompiled, type Dtype, type EngineChoice, type PartEngines, resolveEngines } from './engine-choice.ts';

/** How a model shall be executed in Node. */
export interface NodeEngineChoice extends EngineChoice {
  /** Where ONNX Runtime computes. @default 'cpu' */
  readonly provider?: 'cpu' | 'webgpu' | 'cuda';
  /** Threads of one operation in ONNX Runtime. @default all that the system gives this process */
  readonly threads?: number;
  /** Is told once when the eager engine has to take the compiled one's place. @default process.emitWarning */
  readonly onWarning?: (message: string) => void;
}

/**
 * The engines that `loadBlip2` of 'blip2/node' would take, to be passed to it or to several models as `engine`: the compiled
 * ones; where ONNX Runtime does not work and nobody asked for it, none, which is eager execution.
 *
 * @throws {UnsupportedBackendError} when the compiled engine, a number format or a provider was asked for and ONNX Runtime is
 *   not installed or does not work here.
 * @throws {ConfigError} for a choice that contradicts itself.
 *
 * @example
 * const engine = await chooseEngines({ dtype: 'int8' });
 * const [opt, itm] = [await loadBlip2('./blip2-opt-2.7b', { engine }), await loadBlip2('./blip2-itm-vit-g', { engine })];
 */
export async function chooseEngines(choice: NodeEngineChoice = {}): Promise<PartEngines> {
  const { engine = 'compiled', provider, threads, onWarning = emitWarning } = choice;
  if (engine !== 'compiled' && (provider !== undefined || threads !== undefined)) {
    const named = provider === undefined ? `threads is ${threads}` : `provider is '${provider}'`;
    throw new ConfigError(
      `loadBlip2: ${named}, which is for the compiled engine, but ${engine === 'eager' ? 'the eager engine' : 'an engine of your own'} ` +
        `was chosen. Leave one of them out.`,
    );
  }
  try {
    return await resolveEngines(choice, (dtype) => makeCompiledEngine(dtype, { provider, threads }));
  } catch (cause) {
    const isAsked = asksForCompiled(choice) || provider !== undefined || threads !== undefined;
    if (isAsked || !UnsupportedBackendError.isInstance(cause)) throw cause;
    onWarning(`Models will run on tfjs, many times slower than compiled. ${cause.message}`);
    return {};
  }
}

/** The compiler is loaded when it is first needed: eager programs do without it. */
async function makeCompiledEngine(dtype: Dtype, target: Pick<NodeEngineChoice, 'provider' | 'threads'>): Promise<Engine> {
  const { onnxEngine } = await import('@blip2/compiler/node');
  return onnxEngine({ ...target, dtype });
}

function emitWarning(message: string): void {
  process.emitWarning(message, { type: 'Blip2Warning' });
}
