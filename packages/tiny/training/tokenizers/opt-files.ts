import type { TokenizerFiles } from '@blip2/tokenizers';
import { jsonBytes, textBytes } from '../file-bytes.ts';
import { WORDS } from './words.ts';

/** The ids of OPT's special tokens are their places here. */
const SPECIAL = ['<s>', '<pad>', '</s>', '<unk>'];

/**
 * A byte-level BPE vocabulary: OPT's special tokens, all bytes, and merges that make one piece of each word, with and without a
 * space before it.
 */
export function optFiles(): TokenizerFiles {
  const alphabet = byteAlphabet();
  const merges = learnMerges(WORDS.flatMap((word) => [`Ġ${word}`, word]).filter((word) => word.length > 1));
  const pieces = [...SPECIAL, ...alphabet, ...new Set(merges.map(([left, right]) => left + right))];
  const special = (content: string) => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
    special: true,
  });
  return {
    'vocab.json': jsonBytes(Object.fromEntries(pieces.map((piece, id) => [piece, id]))),
    'merges.txt': textBytes(`#version: 0.2\n${merges.map((pair) => pair.join(' ')).join('\n')}\n`),
    'tokenizer_config.json': jsonBytes({
      add_bos_token: true,
      add_prefix_space: false,
      added_tokens_decoder: Object.fromEntries([1, 2].map((id) => [id, special(SPECIAL[id]!)])),
      bos_token: '</s>',
      eos_token: '</s>',
      errors: 'replace',
      pad_token: '<pad>',
      tokenizer_class: 'GPT2Tokenizer',
      unk_token: '</s>',
    }),
  };
}

/** The character that stands for each byte. Source: GPT-2's `bytes_to_unicode`. */
function byteAlphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(isPrintable ? byte : next++);
  });
}

/**
 * Byte pair encoding of a list of words, until each is one piece: the most frequent pair first.
 * Source: Neural machine translation of rare words with subword units (arXiv 1508.07909), section 3.2.
 */
function learnMerges(words: readonly string[]): [string, string][] {
  const split = words.map((word) => [...word]);
  const merges: [string, string][] = [];
  for (;;) {
    const counts = new Map<string, number>();
    for (const pieces of split) {
      for (let at = 1; at < pieces.length; at++) {
        const pair = `${pieces[at - 1]} ${pieces[at]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    if (counts.size === 0) return merges;
    const [best] = [...counts].reduce((most, each) => (each[1] > most[1] ? each : most));
    const [left, right] = best.split(' ') as [string, string];
    merges.push([left, right]);
    for (const pieces of split) {
      for (let at = 1; at < pieces.length; at++) {
        if (pieces[at - 1] === left && pieces[at] === right) pieces.splice(at - 1, 2, left + right);
      }
    }
  }
}
