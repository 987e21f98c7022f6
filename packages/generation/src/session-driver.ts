import { assertShape, InputError } from '@blip2/core';
import type { DecodingSession, RunOptions } from '@blip2/core';
import type { DecodingSettings } from './decoding-settings.ts';
import { applyRepetitionPenalty, forbidRepeatedNgrams, forbidTokens } from './logits-processors.ts';

/** What generation uses of a call's options besides the decoding options. */
export type AbortOptions = Pick<RunOptions, 'abortSignal'>;

/**
 * Drives a session for a search: brings its rows into the order the search wants, steps it, and reads the logits
 * into plain numbers. No tensor outlives a call.
 */
export class SessionDriver {
  readonly #session: DecodingSession;
  readonly #options: AbortOptions;
  readonly #where: string;

  constructor(session: DecodingSession, { abortSignal }: AbortOptions, where: string) {
    this.#session = session;
    this.#options = { abortSignal };
    this.#where = where;
  }

  /** Runs the prompts. @returns one row of logits for each, ids that the tokenizer lacks included. */
  async start(): Promise<Float32Array[]> {
    this.#options.abortSignal?.throwIfAborted();
    return this.#read(await this.#session.start(this.#options));
  }

  /**
   * Appends a token to each of the sequences that go on.
   *
   * @param parents - For each sequence, the session's row that it continues.
   * @param tokenIds - For each sequence, its new token.
   * @returns one row of logits for each sequence.
   */
  async step(parents: readonly number[], tokenIds: readonly number[]): Promise<Float32Array[]> {
    this.#options.abortSignal?.throwIfAborted();
    const isInPlace = parents.length === this.#session.rows && parents.every((parent, row) => parent === row);
    if (!isInPlace) this.#session.reorder(parents);
    return this.#read(await this.#session.step(tokenIds, this.#options));
  }

  async #read(logits: Awaited<ReturnType<DecodingSession['step']>>): Promise<Float32Array[]> {
    const rows = this.#session.rows;
    let values: ArrayLike<number>;
    const vocab = logits.shape[1];
    try {
      assertShape(logits, [rows, 'vocab'], `${this.#where}: the session's logits`);
      values = await logits.data(); // [rows · vocab]
    } finally {
      logits.dispose();
    }
    this.#options.abortSignal?.throwIfAborted();
    for (let index = 0; index < values.length; index++) {
      if (values[index]! < Number.POSITIVE_INFINITY) continue; // false for NaN, too
      const [row, id] = [Math.floor(index / vocab), index % vocab];
      throw new InputError(
        `${this.#where}: the model's logit of token ${id} in row ${row} is ${values[index]}, expected a finite number. ` +
          `Look for NaN in the image features, the prompt embeddings and the weights.`,
      );
    }
    const all = values instanceof Float32Array ? values : Float32Array.from(values);
    return Array.from({ length: rows }, (_, row) => all.subarray(row * vocab, (row + 1) * vocab)); // rows × [vocab]
  }
}

/**
 * Applies the rules that depend on what a sequence has said: repetition, n-grams, minimum length. In beam search
 * they act on log-probabilities, which are not normalised again; elsewhere on logits.
 *
 * @param scores - `[vocab]`
 * @returns `[vocab]`; the argument itself where no rule applies.
 */
export function applySequenceRules(
  scores: Float64Array,
  promptIds: readonly number[],
  newTokenIds: readonly number[],
  settings: DecodingSettings,
): Float64Array {
  const { repetitionPenalty, noRepeatNgramSize, minNewTokens, endTokenIds, historyScope } = settings;
  let result = scores;
  if (repetitionPenalty !== 1 || noRepeatNgramSize > 0) {
    const history = historyScope === 'prompt' ? [...promptIds, ...newTokenIds] : newTokenIds;
    if (repetitionPenalty !== 1) result = applyRepetitionPenalty(result, history, repetitionPenalty);
    if (noRepeatNgramSize > 0) result = forbidRepeatedNgrams(result, history, noRepeatNgramSize);
  }
  if (newTokenIds.length < minNewTokens) result = forbidTokens(result, endTokenIds);
  return result;
}

/** The error for a prompt that the rules leave no token to go on with. */
export function nothingAllowed(where: string, prompt: number): InputError {
  return new InputError(
    `${where}: the rules forbid every next token of prompt ${prompt}, expected at least one allowed. ` +
      `Loosen noRepeatNgramSize or minNewTokens, or set historyScope to 'new-tokens'.`,
  );
}
