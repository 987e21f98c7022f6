import type { TokenizerFiles } from '@blip2/tokenizers';
import { jsonBytes, textBytes } from '../file-bytes.ts';
import { CHARACTERS, WORDS } from './words.ts';

/** `[SEP]` stands where BERT has it. */
const FIRST_SPECIAL = 100;

/**
 * A WordPiece vocabulary: BERT's places for `[PAD]`, `[UNK]`, `[CLS]`, `[SEP]` and `[MASK]`, a piece for each character and each
 * word, and `[DEC]` as the last.
 */
export function bertFiles(): TokenizerFiles {
  const characters = [...CHARACTERS, ...CHARACTERS.filter((one) => /[a-z0-9]/.test(one)).map((one) => `##${one}`)];
  const first = Array.from({ length: FIRST_SPECIAL - 1 }, (_, index) => characters[index] ?? `[unused${index}]`);
  const lower = WORDS.map((word) => word.toLowerCase().replace(/:$/, '')).filter((word) => word.length > 1);
  const vocab = ['[PAD]', ...first, '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...new Set(lower), '[DEC]'];
  const special = (content: string) => ({
    content,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: true,
  });
  const added = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '[DEC]'];
  return {
    'vocab.txt': textBytes(`${vocab.join('\n')}\n`),
    'tokenizer_config.json': jsonBytes({
      added_tokens_decoder: Object.fromEntries(added.map((token) => [vocab.indexOf(token), special(token)])),
      bos_token: '[DEC]',
      cls_token: '[CLS]',
      do_lower_case: true,
      mask_token: '[MASK]',
      pad_token: '[PAD]',
      sep_token: '[SEP]',
      tokenizer_class: 'BertTokenizer',
      unk_token: '[UNK]',
    }),
  };
}
