import { SYNONYMS } from './annotators.ts';
import { countWord, plural } from './grammar.ts';
import { BACKGROUND_NAMES, COLOR_NAMES, KNOWN_SHAPES, SIZES, TEXTURES, UNSEEN_SHAPES } from './palette.ts';
import { RELATIONS } from './relations.ts';

const NOUNS: readonly string[] = [...KNOWN_SHAPES, ...UNSEEN_SHAPES, 'object'];

/** Words of captions and questions that are no name of anything. */
const FUNCTION_WORDS =
  'a an and are as background both color do fewer have how image is many more next of on or picture same shape size than texture the there to what with';

/**
 * Every word that captions, questions and answers of the shapes world can have, sorted; beside them texts have only `,` and
 * `?`. For tokenizers.
 */
export const SHAPES_WORDS: readonly string[] = [
  ...new Set(
    [
      ...FUNCTION_WORDS.split(' '),
      ...NOUNS,
      ...NOUNS.map(plural),
      ...COLOR_NAMES,
      ...BACKGROUND_NAMES,
      ...SIZES,
      ...TEXTURES,
      ...RELATIONS.flatMap((relation) => relation.split(' ')),
      ...[2, 3, 4, 5].map(countWord),
      ...Array.from({ length: 7 }, (_, number) => String(number)), // 6 is a mistake of an annotator
      'yes',
      'no',
      ...Object.values(SYNONYMS).flatMap((synonym) => synonym.split(' ')),
    ].toSorted(),
  ),
];
