import { InputError } from '@blip2/core';
import type { DecodingSession, GenerateOptions } from '@blip2/core';
import { beamSearch } from './beam-search.ts';
import { finishedSequence, type GeneratedSequence } from './generated-sequence.ts';
import type { AbortOptions } from './session-driver.ts';
import { growSequences, type GrowingSequence } from './token-by-token.ts';

/**
 * Writes texts: greedy search, beam search (`beams` above 1) or sampling (`sampling`), over whatever scores next
 * tokens.
 *
 * Logits are read as numbers and disposed at once; no tensor is left behind, also after an error or an abort. The
 * session stays the caller's to dispose, and cannot be used for a second call.
 *
 * @param session - A prompt or several on their way to text; its rows are the prompts.
 * @param options - See `GenerateOptions` of `@blip2/core`. `abortSignal` is looked at before and after each step.
 * @returns for each prompt its `returnSequences` sequences, best first in beam search. There are fewer only where a
 * beam search finds no more texts, because the vocabulary is smaller than the beam or the rules forbid the others.
 * @throws {InputError} when an option cannot be meant, when the logits hold NaN, or when the rules forbid every token.
 * @throws the abort signal's reason, unwrapped.
 *
 * @example
 * const [[best]] = await generate(session, { beams: 5, lengthPenalty: -1, maxNewTokens: 10 });
 * console.log(tokenizer.decode(best.tokenIds), best.score);
 *
 * Source: Hugging Face transformers 5, `GenerationMixin.generate`; defaults of the original BLIP-2 code.
 */
export async function generate(
  session: DecodingSession,
  options: GenerateOptions & AbortOptions = {},
): Promise<GeneratedSequence[][]> {
  if ((options.beams ?? 1) !== 1) return beamSearch(session, options, 'generate');
  const prompts = session.rows;
  let sequences: readonly GrowingSequence[] = [];
  for await (const grown of growSequences(session, options, 'generate')) sequences = grown;
  const endTokenIds = new Set(options.endTokenIds ?? session.endTokenIds);
  const texts = Array.from({ length: prompts }, (): GeneratedSequence[] => []);
  for (const { prompt, newTokenIds } of sequences) texts[prompt]!.push(finishedSequence(newTokenIds, endTokenIds));
  return texts;
}

/**
 * Writes one text and hands out each token as soon as it is decided: greedy search or sampling. The end token is
 * not handed out.
 *
 * The model works only when the next token is asked for, and holds nothing of this function's in between: leaving the
 * loop, by whatever way, leaves no tensor behind. The session stays the caller's to dispose.
 *
 * @param session - One prompt: a session of one row.
 * @throws {InputError} when the session has several rows, when `beams` or `returnSequences` is not 1, and as in
 * {@link generate}. Errors come out of the iteration, where the work is done.
 * @throws the abort signal's reason, unwrapped.
 *
 * @example
 * for await (const tokenId of streamTokens(session, { maxNewTokens: 20 })) {
 *   process.stdout.write(stream.push(tokenId));
 * }
 */
export async function* streamTokens(
  session: DecodingSession,
  options: GenerateOptions & AbortOptions = {},
): AsyncGenerator<number, void, undefined> {
  if (session.rows !== 1) {
    const cure = 'Make one session a prompt, or call generate.';
    throw new InputError(`streamTokens: the session has ${session.rows} rows, expected 1. ${cure}`);
  }
  for (const name of ['beams', 'returnSequences'] as const) {
    if ((options[name] ?? 1) === 1) continue;
    const reason = 'its tokens are final only when the search ends';
    const why =
      name === 'beams' ? `Beam search cannot be streamed, ${reason}: call generate.` : 'Call generate for several texts.';
    throw new InputError(`streamTokens: ${name} is ${String(options[name])}, expected 1. ${why}`);
  }
  const endTokenIds = new Set(options.endTokenIds ?? session.endTokenIds);
  for await (const [sequence] of growSequences(session, options, 'streamTokens')) {
    const tokenId = sequence!.newTokenIds.at(-1)!;
    if (endTokenIds.has(tokenId)) return;
    yield tokenId;
  }
}
