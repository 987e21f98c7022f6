import { InputError } from '@blip2/core';
import type { DecodingSession, GenerateOptions, SamplingOptions } from '@blip2/core';

/** {@link GenerateOptions} with every default filled in and every value checked. */
export interface DecodingSettings {
  readonly maxNewTokens: number;
  readonly minNewTokens: number;
  readonly beams: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: boolean | 'never';
  readonly returnSequences: number;
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly historyScope: 'prompt' | 'new-tokens';
  readonly sampling: Required<SamplingOptions> | undefined;
  readonly endTokenIds: ReadonlySet<number>;
}

/** New tokens where the caller does not say: `max_length` of the original BLIP-2 code's `generate`. */
const DEFAULT_MAX_NEW_TOKENS = 30;

/**
 * Fills in defaults and refuses what cannot be meant.
 *
 * @param where - The function whose options these are, for messages.
 * @throws {InputError} naming the option, its value and what it must be.
 */
export function resolveSettings(session: DecodingSession, options: GenerateOptions, where: string): DecodingSettings {
  const check = new OptionChecks(where);
  const beams = check.integer('beams', options.beams ?? 1, 1);
  const sampling = options.sampling === undefined ? undefined : resolveSampling(options.sampling, check);
  if (sampling !== undefined && beams > 1) {
    check.refuse(`beams is ${beams} and sampling is set`, 'one of the two', 'Leave out sampling, or set beams to 1');
  }
  const returnSequences = check.integer('returnSequences', options.returnSequences ?? 1, 1);
  if (sampling === undefined && returnSequences > beams) {
    const cure = 'Raise beams, or set sampling';
    check.refuse(`returnSequences is ${returnSequences}`, `at most beams (${beams}) without sampling`, cure);
  }
  return {
    ...resolveLengths(session, options, check),
    beams,
    lengthPenalty: check.number('lengthPenalty', options.lengthPenalty ?? 1),
    earlyStopping: check.oneOf('earlyStopping', options.earlyStopping ?? false, [true, false, 'never']),
    returnSequences,
    repetitionPenalty: check.positive('repetitionPenalty', options.repetitionPenalty ?? 1),
    noRepeatNgramSize: check.integer('noRepeatNgramSize', options.noRepeatNgramSize ?? 0, 0),
    historyScope: check.oneOf('historyScope', options.historyScope ?? 'prompt', ['prompt', 'new-tokens']),
    sampling,
    endTokenIds: new Set((options.endTokenIds ?? session.endTokenIds).map((id) => check.integer('endTokenIds', id, 0))),
  };
}

function resolveLengths(
  session: DecodingSession,
  options: GenerateOptions,
  check: OptionChecks,
): Pick<DecodingSettings, 'maxNewTokens' | 'minNewTokens'> {
  const room = session.maxNewTokens;
  if (room < 1) check.refuse(`the prompt leaves room for ${room} new tokens`, 'at least 1', 'Shorten the prompt');
  const maxNewTokens = check.integer('maxNewTokens', options.maxNewTokens ?? Math.min(DEFAULT_MAX_NEW_TOKENS, room), 1);
  if (maxNewTokens > room) {
    const cure = `Set maxNewTokens to ${room} or less, or shorten the prompt`;
    check.refuse(`maxNewTokens is ${maxNewTokens}`, `at most ${room}, which is what fits into the model's context`, cure);
  }
  const minNewTokens = check.integer('minNewTokens', options.minNewTokens ?? 0, 0);
  if (minNewTokens > maxNewTokens) {
    check.refuse(`minNewTokens is ${minNewTokens}`, `at most maxNewTokens (${maxNewTokens})`, 'Lower it, or raise maxNewTokens');
  }
  return { maxNewTokens, minNewTokens };
}

function resolveSampling(options: SamplingOptions, check: OptionChecks): Required<SamplingOptions> {
  const topP = check.positive('sampling.topP', options.topP ?? 1);
  if (topP > 1) check.refuse(`sampling.topP is ${topP}`, 'a probability in (0, 1]', 'Use 1 to keep every token');
  return {
    temperature: check.positive('sampling.temperature', options.temperature ?? 1),
    topK: check.integer('sampling.topK', options.topK ?? 0, 0),
    topP,
    seed: check.integer('sampling.seed', options.seed ?? 0, Number.MIN_SAFE_INTEGER),
  };
}

/** Checks of single options that all word their refusals alike. */
class OptionChecks {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  refuse(came: string, expected: string, cure: string): never {
    throw new InputError(`${this.#where}: ${came}, expected ${expected}. ${cure}.`);
  }

  integer(name: string, value: number, least: number): number {
    if (Number.isSafeInteger(value) && value >= least) return value;
    const expected = least === Number.MIN_SAFE_INTEGER ? 'an integer' : `an integer of at least ${least}`;
    return this.refuse(`${name} is ${String(value)}`, expected, 'Correct the option, or leave it out for the default');
  }

  number(name: string, value: number): number {
    if (Number.isFinite(value)) return value;
    return this.refuse(`${name} is ${String(value)}`, 'a finite number', 'Correct the option, or leave it out for the default');
  }

  positive(name: string, value: number): number {
    if (Number.isFinite(value) && value > 0) return value;
    return this.refuse(`${name} is ${String(value)}`, 'a number above 0', 'Correct the option, or leave it out for the default');
  }

  oneOf<Value>(name: string, value: Value, allowed: readonly Value[]): Value {
    if (allowed.includes(value)) return value;
    const list = allowed.map((each) => JSON.stringify(each)).join(' or ');
    return this.refuse(
      `${name} is ${String(JSON.stringify(value))}`,
      list,
      'Correct the option, or leave it out for the default',
    );
  }
}
