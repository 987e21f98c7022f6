import type { Random } from '@blip2/core';
import { BACKGROUND_NAMES, COLOR_NAMES, KNOWN_SHAPES, SIZES, TEXTURES } from './palette.ts';
import { pick, shuffled } from './random.ts';

/** How many people answer a question of VQAv2. */
export const ANNOTATORS = 10;

/** Other words for the same, which VQA's accuracy counts as other answers. */
export const SYNONYMS: Readonly<Record<string, string>> = {
  gray: 'grey',
  purple: 'violet',
  cyan: 'turquoise',
  large: 'big',
  small: 'little',
  striped: 'stripes',
  dotted: 'dots',
  plain: 'solid',
  sandy: 'beige',
  mint: 'light green',
};

const VOCABULARIES: readonly (readonly string[])[] = [
  COLOR_NAMES,
  BACKGROUND_NAMES,
  KNOWN_SHAPES,
  SIZES,
  TEXTURES,
  ['yes', 'no'],
];

/**
 * Ten answers as ten people would give them: at least eight are the true one, the others a synonym or a mistake.
 *
 * @returns ten answers in random order; six questions of ten have ten equal ones.
 *
 * @example
 * annotate({ answer: 'red' }, random); // ['red', 'red', 'red', 'pink', 'red', …]
 */
export function annotate({ answer }: { readonly answer: string }, random: Random): string[] {
  const chance = random();
  const deviating = chance < 0.6 ? 0 : chance < 0.85 ? 1 : 2;
  const others = Array.from({ length: deviating }, () => otherAnswer(answer, random));
  return shuffled([...others, ...Array.from({ length: ANNOTATORS - deviating }, () => answer)], random);
}

function otherAnswer(answer: string, random: Random): string {
  const synonym = SYNONYMS[answer];
  if (synonym !== undefined && random() < 0.7) return synonym;
  if (/^\d+$/.test(answer)) return String(Math.abs(Number(answer) + (random() < 0.5 ? 1 : -1)));
  const vocabulary = VOCABULARIES.find((words) => words.includes(answer));
  // A shape that training never has: the annotator takes it for one of the others.
  return pick(
    (vocabulary ?? KNOWN_SHAPES).filter((word) => word !== answer),
    random,
  );
}
