import { SHAPES_WORDS } from '@blip2/datasets';

/** Beside the world's own: the words of prompts. */
const PROMPT_WORDS = ['photo', 'Question:', 'Answer:', 'Short', 'answer:'];

/** Every word that the models read or write, as it stands in a text. */
export const WORDS: readonly string[] = [...new Set([...SHAPES_WORDS, ...PROMPT_WORDS])];

/** Single characters, so that no text in English is unknown. */
export const CHARACTERS: readonly string[] = [..."abcdefghijklmnopqrstuvwxyz0123456789?,.:'-"];
