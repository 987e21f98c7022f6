import { unusable, type JsonFields } from './json-fields.ts';
import type { TokenizerPipeline } from './pipeline.ts';
import { PrecompiledCharsmap } from './precompiled-charsmap.ts';
import type { SentencePieceModel } from './sentencepiece-model.ts';
import { META_SPACE, metaspaceText, splitMetaspace, UnigramModel, type PrependScheme } from './unigram.ts';

type Normalizer = (text: string) => string;
type Splitter = (text: string, isBeginning: boolean) => string[];
type Decoder = (pieces: readonly string[]) => string;

/** What makes one unigram tokenizer another than the next. */
export interface T5Definition {
  /** Pieces and their log-probabilities, by id. */
  readonly pieces: readonly (readonly [string, number])[];
  readonly unknownId: number;
  readonly normalize: Normalizer;
  readonly splitWords: Splitter;
  readonly decode: Decoder;
}

/** Reads a unigram tokenizer from `tokenizer.json`. */
export function t5FromJson(json: JsonFields): T5Definition {
  const model = json.object('model');
  if (model.boolean('byte_fallback', false)) throw model.unexpected('byte_fallback', 'false');
  const pieces = model.array('vocab').map((entry, id): [string, number] => {
    if (Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number') return [entry[0], entry[1]];
    throw unusable(`${json.file}: ${model.at('vocab')}[${id}]`, JSON.stringify(entry), 'a piece and its log-probability');
  });
  const unknownId = model.integer('unk_id');
  if (unknownId >= pieces.length) throw model.unexpected('unk_id', `below the ${pieces.length} pieces`);
  return {
    pieces,
    unknownId,
    normalize: readNormalizer(json.optionalObject('normalizer')),
    splitWords: readSplitter(json.object('pre_tokenizer')),
    decode: readDecoder(json.object('decoder')),
  };
}

/** `extra_ids` of T5's configuration where it does not say. Source: T5 (arXiv 1910.10683), the sentinel tokens. */
const EXTRA_IDS = 100;

/**
 * Makes a unigram tokenizer of a SentencePiece model, as T5 has it: the pieces, then `<extra_id_99>` down to
 * `<extra_id_0>`.
 */
export function t5FromSentencePiece(model: SentencePieceModel, config: JsonFields): T5Definition {
  const extraIds = config.integer('extra_ids', EXTRA_IDS);
  const extra = Array.from({ length: extraIds }, (_, index): [string, number] => [`<extra_id_${extraIds - 1 - index}>`, 0]);
  const charsmap =
    model.charsmap === undefined ? undefined : new PrecompiledCharsmap(model.charsmap, `${model.file}: the character map`);
  return {
    pieces: [...model.pieces, ...extra],
    unknownId: model.unknownId,
    normalize: (text) => charsmap?.normalize(text) ?? text,
    splitWords: (text) => splitWhiteSpace(text).flatMap((word) => splitMetaspace(word, true, true, META_SPACE)),
    decode: decoderOf('always', META_SPACE),
  };
}

export function t5Pipeline({ pieces, unknownId, normalize, splitWords, decode }: T5Definition): TokenizerPipeline {
  const model = new UnigramModel(pieces, unknownId);
  return {
    kind: 't5',
    vocab: new Map(pieces.map(([piece], id) => [piece, id])),
    normalize,
    splitWords,
    encodeWord: (word) => model.encode(word),
    decode,
  };
}

function readNormalizer(fields: JsonFields | undefined): Normalizer {
  switch (fields?.raw('type')) {
    case undefined:
      return (text) => text;
    case 'Sequence': {
      const steps = fields!.objects('normalizers').map(readNormalizer);
      return (text) => steps.reduce((result, step) => step(result), text);
    }
    case 'Precompiled': {
      if (!fields!.has('precompiled_charsmap')) return (text) => text;
      const where = `${fields!.file}: ${fields!.at('precompiled_charsmap')}`;
      const charsmap = new PrecompiledCharsmap(decodeBase64(fields!.string('precompiled_charsmap'), where), where);
      return (text) => charsmap.normalize(text);
    }
    case 'Strip': {
      const left = fields!.boolean('strip_left', true);
      const right = fields!.boolean('strip_right', true);
      return (text) => stripWhiteSpace(text, left, right);
    }
    case 'Replace': {
      const pattern = readPattern(fields!);
      const content = fields!.string('content');
      return (text) => text.replaceAll(pattern, () => content);
    }
    default:
      throw fields!.unexpected('type', 'Precompiled, Strip, Replace or Sequence');
  }
}

/** Not a regular expression: those take quadratic time on a text full of spaces. */
function stripWhiteSpace(text: string, left: boolean, right: boolean): string {
  const isSpace = (character: string): boolean => /\p{White_Space}/u.test(character);
  let begin = 0;
  let end = text.length;
  if (left) while (begin < end && isSpace(text[begin]!)) begin++;
  if (right) while (begin < end && isSpace(text[end - 1]!)) end--;
  return text.slice(begin, end);
}

function readPattern(fields: JsonFields): string | RegExp {
  const pattern = fields.object('pattern');
  if (pattern.has('String')) return pattern.string('String');
  try {
    return new RegExp(pattern.string('Regex'), 'gu');
  } catch {
    throw pattern.unexpected('Regex', 'a regular expression that JavaScript knows');
  }
}

function readSplitter(fields: JsonFields): Splitter {
  switch (fields.raw('type')) {
    case 'Sequence': {
      const steps = fields.objects('pretokenizers').map(readSplitter);
      const split = (words: readonly string[], step: Splitter, isBeginning: boolean): string[] => {
        return words.flatMap((word, index) => step(word, isBeginning && index === 0));
      };
      return (text, isBeginning) => steps.reduce((words, step) => split(words, step, isBeginning), [text]);
    }
    case 'WhitespaceSplit':
      return splitWhiteSpace;
    case 'Metaspace': {
      const scheme = readPrependScheme(fields);
      const split = fields.boolean('split', true);
      const replacement = fields.string('replacement', META_SPACE);
      return (text, isBeginning) => {
        const prepend = scheme === 'always' || (scheme === 'first' && isBeginning);
        return splitMetaspace(text, prepend, split, replacement);
      };
    }
    default:
      throw fields.unexpected('type', 'WhitespaceSplit, Metaspace or Sequence');
  }
}

function splitWhiteSpace(text: string): string[] {
  return text.match(/\P{White_Space}+/gu) ?? [];
}

function readDecoder(fields: JsonFields): Decoder {
  const decoder = fields.ofType('Metaspace');
  return decoderOf(readPrependScheme(decoder), decoder.string('replacement', META_SPACE));
}

function decoderOf(scheme: PrependScheme, replacement: string): Decoder {
  return (pieces) => pieces.map((piece, index) => metaspaceText(piece, index === 0, scheme, replacement)).join('');
}

/** Older files have `add_prefix_space` instead. */
function readPrependScheme(fields: JsonFields): PrependScheme {
  if (!fields.has('prepend_scheme')) return fields.boolean('add_prefix_space', true) ? 'always' : 'never';
  const scheme = fields.string('prepend_scheme');
  if (scheme === 'always' || scheme === 'first' || scheme === 'never') return scheme;
  throw fields.unexpected('prepend_scheme', 'always, first or never');
}

function decodeBase64(text: string, where: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw unusable(where, `${text.length} characters that are not base64`, 'base64');
  }
}
