import { ConfigError } from '@blip2/core';
import { quote } from '../json/parse-json.ts';
import { fieldOf } from './validate.ts';

/** What to do about configurations that people take for BLIP-2's. */
const HINTS: Readonly<Record<string, string>> = {
  blip: 'BLIP and BLIP-2 are different models; take a checkpoint such as Salesforce/blip2-opt-2.7b.',
  instructblip:
    'InstructBLIP gives its Q-Former the instruction and is not supported; take a checkpoint such as Salesforce/blip2-flan-t5-xl.',
  'blip-2': 'This is a whole BLIP-2 model; load it as one.',
};

/**
 * Refuses the configuration of another model.
 *
 * @param accepted - Values of `model_type`; the first is the one that messages name.
 * @throws {ConfigError} saying which model it is and which is expected.
 */
export function assertModelType(json: unknown, accepted: readonly string[], fileName: string): void {
  const found = fieldOf(json, 'model_type');
  if (typeof found === 'string' && accepted.includes(found)) return;
  const expected = accepted.map(quote).join(' or ');
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError(
      `${fileName}: holds ${JSON.stringify(json)?.slice(0, 40)}, expected an object with model_type ${expected}. Fetch the file again.`,
    );
  }
  if (typeof found !== 'string') {
    throw new ConfigError(
      `${fileName}: has no model_type, expected ${expected}. Check that this is the configuration of a model.`,
    );
  }
  const hint = HINTS[found] ?? 'The folder holds another model; check the path or the repository id.';
  throw new ConfigError(`${fileName}: model_type is ${quote(found)}, expected ${expected}. ${hint}`);
}
