import { normalizeBert, splitBertWords, type BertNormalization } from './bert-normalizer.ts';
import { readVocabulary, type JsonFields } from './json-fields.ts';
import type { TokenizerPipeline } from './pipeline.ts';
import { WordPieceModel, wordPieceText } from './word-piece.ts';

/** What makes one BERT tokenizer another than the next. */
export interface BertDefinition {
  readonly vocab: ReadonlyMap<string, number>;
  readonly unknownToken: string;
  readonly prefix: string;
  readonly longestWord: number;
  readonly normalization: BertNormalization;
  readonly cleanUp: boolean;
}

/** Reads a BERT tokenizer from `tokenizer.json`. */
export function bertFromJson(json: JsonFields): BertDefinition {
  const model = json.object('model');
  const normalizer = json.object('normalizer').ofType('BertNormalizer');
  json.object('pre_tokenizer').ofType('BertPreTokenizer');
  const decoder = json.optionalObject('decoder')?.ofType('WordPiece');
  return {
    vocab: readVocabulary(model.object('vocab')),
    unknownToken: model.string('unk_token'),
    prefix: model.string('continuing_subword_prefix', '##'),
    longestWord: model.integer('max_input_chars_per_word', LONGEST_WORD),
    normalization: readNormalization(normalizer, 'handle_chinese_chars', 'lowercase'),
    cleanUp: decoder?.boolean('cleanup', true) ?? true,
  };
}

/** In characters. Source: `max_input_chars_per_word` of the original BERT code, as the libraries have it. */
const LONGEST_WORD = 100;

/** Reads a BERT tokenizer from `vocab.txt`, one piece a line, and the options of `tokenizer_config.json`. */
export function bertFromVocabulary(vocabulary: string, config: JsonFields, unknownToken: string): BertDefinition {
  const lines = vocabulary.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return {
    vocab: new Map(lines.map((piece, id) => [piece, id])),
    unknownToken,
    prefix: '##',
    longestWord: LONGEST_WORD,
    normalization: readNormalization(config, 'tokenize_chinese_chars', 'do_lower_case'),
    cleanUp: true,
  };
}

/** `tokenizer.json` and `tokenizer_config.json` name the same options differently. */
function readNormalization(fields: JsonFields, chinese: string, lower: string): BertNormalization {
  const lowercase = fields.boolean(lower, true);
  return {
    cleanText: fields.boolean('clean_text', true),
    handleChineseChars: fields.boolean(chinese, true),
    stripAccents: fields.boolean('strip_accents', lowercase), // null means: as lowercase
    lowercase,
  };
}

/** @throws {ConfigError} when the unknown token is not in the vocabulary. */
export function bertPipeline(definition: BertDefinition, unknownId: number): TokenizerPipeline {
  const { vocab, prefix, longestWord, normalization, cleanUp } = definition;
  const model = new WordPieceModel(vocab, unknownId, prefix, longestWord);
  return {
    kind: 'bert',
    vocab,
    normalize: (text) => normalizeBert(text, normalization),
    splitWords: splitBertWords,
    encodeWord: (word) => model.encode(word),
    decode: (pieces) => pieces.map((piece, index) => wordPieceText(piece, index === 0, prefix, cleanUp)).join(''),
  };
}
