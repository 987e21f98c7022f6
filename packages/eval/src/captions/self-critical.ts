import { InputError } from '@blip2/core/errors';
import { cider } from './cider.ts';
import type { DocumentFrequencies } from './cider.ts';

const END = 0; // the id that ends a row; it takes part in the n-grams

/**
 * A row of token ids as a sentence for `cider` and `documentFrequencies`: the ids up to and including the first 0.
 *
 * @example
 * tokenRowText([4, 11, 0, 0]); // '4 11 0'
 *
 * Source: ruotianluo/self-critical.pytorch `rewards.py`, `array_to_str`.
 */
export function tokenRowText(ids: ArrayLike<number>): string {
  const row = Array.from(ids);
  const end = row.indexOf(END);
  return (end < 0 ? row : row.slice(0, end + 1)).join(' ');
}

/**
 * Rewards of self-critical training: CIDEr-D of each sampled caption minus that of its image's greedy caption. The reward of a sample is
 * the same at every position of its row.
 *
 * @param options.samples - Rows of token ids, the samples of an image one after the other.
 * @param options.greedy - One row an image.
 * @param options.references - Rows of token ids, for every image.
 * @param options.frequencies - Of the training captions, written with {@link tokenRowText}.
 * @returns One reward and one CIDEr-D value a sample.
 * @throws {InputError} when rows and images do not fit together.
 *
 * Source: Rennie et al. (arXiv 1612.00563); ruotianluo/self-critical.pytorch `rewards.py`, `get_self_critical_reward`.
 */
export function selfCriticalRewards({
  samples,
  greedy,
  references,
  frequencies,
}: {
  readonly samples: readonly ArrayLike<number>[];
  readonly greedy: readonly ArrayLike<number>[];
  readonly references: readonly (readonly ArrayLike<number>[])[];
  readonly frequencies: DocumentFrequencies;
}): { readonly rewards: readonly number[]; readonly scores: readonly number[] } {
  const images = references.length;
  const samplesPerImage = samples.length / images;
  if (images === 0 || greedy.length !== images || !Number.isInteger(samplesPerImage) || samplesPerImage < 1)
    throw new InputError(
      `selfCriticalRewards: got references of ${images} images, ${greedy.length} greedy rows and ${samples.length} samples, ` +
        `expected one greedy row and the same number of samples an image. Repeat the images as the samples were drawn.`,
    );
  const texts = references.map((rows) => rows.map(tokenRowText));
  const imageOf = (sample: number): number => Math.floor(sample / samplesPerImage);
  const captions = [
    ...samples.map((row, index) => ({ candidate: tokenRowText(row), references: texts[imageOf(index)]! })),
    ...greedy.map((row, image) => ({ candidate: tokenRowText(row), references: texts[image]! })),
  ];
  const { perImage } = cider(captions, { frequencies });
  const scores = perImage.slice(0, samples.length);
  const baselines = perImage.slice(samples.length);
  return { rewards: scores.map((score, index) => score - baselines[imageOf(index)]!), scores };
}
