import { UnsupportedBackendError } from '@blip2/core';
import { chooseEngines, type Dtype, DTYPES, type EngineName, ENGINES, type NodeEngineChoice, type PartEngines } from 'blip2/node';
import { type ChoiceOption, type Defaulted, UsageError, type Values } from './command-line.ts';
import type { Output } from './output.ts';

/** How a model is executed: options of most verbs. */
export type EngineOptionTable = { readonly engine: ChoiceOption; readonly provider: ChoiceOption } & {
  readonly dtype: Defaulted<ChoiceOption>;
};

export const ENGINE_OPTIONS: EngineOptionTable = {
  engine: {
    type: 'choice',
    choices: ENGINES,
    description: 'compiled runs on ONNX Runtime, eager on tfjs; default: compiled, where ONNX Runtime works',
  },
  dtype: {
    type: 'choice',
    choices: DTYPES,
    description: 'number format of the frozen weights; int8 and int4 are for the compiled engine',
    default: 'fp32',
  },
  provider: {
    type: 'choice',
    choices: ['cpu', 'webgpu', 'cuda'],
    description: 'where ONNX Runtime computes; default: cpu',
  },
};

/**
 * The engines that the command line asks for. Without ONNX Runtime, and without a word that needs it, that is eager execution,
 * and a remark says so.
 *
 * @throws {UsageError} for options that contradict each other, or that this machine cannot follow.
 */
export async function chooseEnginesFor(values: Values<EngineOptionTable>, output: Output): Promise<PartEngines> {
  const named = namedOptions(values);
  if (values.engine === 'eager' && named.length > 1) {
    throw new UsageError(
      `${named[1]} is for the compiled engine, but --engine eager was asked for. Leave one of them out, or take --engine compiled.`,
    );
  }
  const choice: NodeEngineChoice = {
    engine: values.engine as EngineName | undefined,
    dtype: values.dtype as Dtype,
    provider: values.provider as NodeEngineChoice['provider'],
    onWarning: (message) => output.note(message),
  };
  try {
    return await chooseEngines(choice);
  } catch (cause) {
    if (!UnsupportedBackendError.isInstance(cause)) throw cause;
    throw new UsageError(
      `${named.join(' ')} cannot be followed on this machine. ${cause.message.replace(/\.$/, '')}; or take --engine eager.`,
      {
        cause,
      },
    );
  }
}

/** The options about engines that somebody wrote, as they are written; the engine first. */
function namedOptions({ engine, dtype, provider }: Values<EngineOptionTable>): string[] {
  return [
    ...(engine === undefined ? [] : [`--engine ${engine}`]),
    ...(dtype === 'fp32' ? [] : [`--dtype ${dtype}`]),
    ...(provider === undefined ? [] : [`--provider ${provider}`]),
  ];
}

/** Whether no part has an engine: everything runs on the tfjs backend. */
export function isEager(engines: PartEngines): boolean {
  return Object.values(engines).every((engine) => engine === undefined);
}
