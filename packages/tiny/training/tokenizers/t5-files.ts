import type { TokenizerFiles } from '@blip2/tokenizers';
import { jsonBytes } from '../file-bytes.ts';
import { CHARACTERS, WORDS } from './words.ts';

const SPECIAL = ['<pad>', '</s>', '<unk>'];
const SPACE = '▁';

/** A unigram vocabulary: T5's special tokens, a piece for each word and, far less likely, for each character. */
export function t5Files(): TokenizerFiles {
  const special = (content: string, id: number) => ({
    id,
    content,
    lstrip: false,
    normalized: false,
    rstrip: false,
    single_word: false,
    special: true,
  });
  const capitals = CHARACTERS.filter((one) => /[a-z]/.test(one)).map((one) => one.toUpperCase());
  // A comma or question mark stands close to the word before it.
  const words = [...WORDS.map((word) => SPACE + word), ',', '?'];
  const rest = [SPACE, ...CHARACTERS, ...capitals].filter((piece) => !words.includes(piece));
  const vocab = [
    ...SPECIAL.map((piece) => [piece, 0]),
    ...words.map((piece) => [piece, -5]),
    ...rest.map((piece) => [piece, -12]),
  ];
  const metaspace = { type: 'Metaspace', replacement: SPACE, add_prefix_space: true };
  return {
    'tokenizer.json': jsonBytes({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: SPECIAL.map(special),
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
        pair: [
          { Sequence: { id: 'A', type_id: 0 } },
          { SpecialToken: { id: '</s>', type_id: 0 } },
          { Sequence: { id: 'B', type_id: 0 } },
          { SpecialToken: { id: '</s>', type_id: 0 } },
        ],
        special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
      },
      decoder: metaspace,
      model: { type: 'Unigram', unk_id: 2, vocab },
    }),
    'tokenizer_config.json': jsonBytes({
      eos_token: '</s>',
      extra_ids: 0,
      pad_token: '<pad>',
      tokenizer_class: 'T5Tokenizer',
      unk_token: '<unk>',
    }),
  };
}
