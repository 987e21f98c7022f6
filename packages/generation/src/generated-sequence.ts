/** One generated sequence of token ids. */
export interface GeneratedSequence {
  /** The new tokens as text wants them: without the end token, never with padding. */
  readonly tokenIds: readonly number[];
  /** The new tokens as they were decided: the end token last when `endedBy` is `'end-token'`. */
  readonly newTokenIds: readonly number[];
  /** Beam search only: Σ log p / length^lengthPenalty, where the length counts the end token. */
  readonly score?: number;
  /** Whether the model ended the text or `maxNewTokens` did. */
  readonly endedBy: 'end-token' | 'length';
}

/** A sequence from its decided tokens; the last one may be an end token. */
export function finishedSequence(
  newTokenIds: readonly number[],
  endTokenIds: ReadonlySet<number>,
  score?: number,
): GeneratedSequence {
  const ended = endTokenIds.has(newTokenIds.at(-1)!);
  return {
    tokenIds: ended ? newTokenIds.slice(0, -1) : newTokenIds,
    newTokenIds,
    ...(score === undefined ? {} : { score }),
    endedBy: ended ? 'end-token' : 'length',
  };
}
