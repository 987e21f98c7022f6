import type { Random } from '@blip2/core';

/** A text in two parts: what the encoder reads, and what the decoder must write. */
export interface PrefixSplit {
  readonly prefix: string;
  readonly target: string;
}

/**
 * Splits a caption for prefix language modelling, as an encoder-decoder model is trained in stage 2: a random part from its begin,
 * at least one word and at most half of them, is the prefix. A single word is all target.
 *
 * @param text - Words between white space.
 * @param random - Decides where; seeded by the caller.
 *
 * @example
 * splitPrefix('two dogs on a beach', seededRandom(1)); // { prefix: 'two dogs', target: 'on a beach' } or { prefix: 'two', … }
 *
 * Source: BLIP-2 (arXiv 2301.12597), section 3.3, which does not say how it splits; the rule is uniform over words.
 */
export function splitPrefix(text: string, random: Random): PrefixSplit {
  const words = text.split(/\s+/).filter((word) => word !== '');
  const longest = Math.floor(words.length / 2);
  const count = longest === 0 ? 0 : 1 + Math.floor(random() * longest);
  return { prefix: words.slice(0, count).join(' '), target: words.slice(count).join(' ') };
}
