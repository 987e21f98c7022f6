import { ByteLevelBpeModel, pieceBytes, splitGpt2Words } from './byte-level-bpe.ts';
import { readVocabulary, unusable, type JsonFields } from './json-fields.ts';
import type { TokenizerPipeline } from './pipeline.ts';

/** What makes one byte-level BPE tokenizer another than the next. */
export interface OptDefinition {
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly addPrefixSpace: boolean;
  /** Where the merges come from, for messages. */
  readonly mergesFile: string;
}

/** Reads a byte-level BPE tokenizer from `tokenizer.json`; merges may be `"a b"` or `["a", "b"]`. */
export function optFromJson(json: JsonFields): OptDefinition {
  const model = json.object('model');
  for (const name of ['byte_fallback', 'ignore_merges'] as const) {
    if (model.boolean(name, false)) throw model.unexpected(name, 'false');
  }
  if (json.has('normalizer')) throw json.unexpected('normalizer', 'null');
  const preTokenizer = json.object('pre_tokenizer').ofType('ByteLevel');
  if (!preTokenizer.boolean('use_regex', true)) throw preTokenizer.unexpected('use_regex', 'true');
  json.object('decoder').ofType('ByteLevel');
  return {
    vocab: readVocabulary(model.object('vocab')),
    merges: model.array('merges').map((merge, rank) => readMerge(merge, `${json.file}: ${model.at('merges')}[${rank}]`)),
    addPrefixSpace: preTokenizer.boolean('add_prefix_space', false),
    mergesFile: json.file,
  };
}

/** Reads a byte-level BPE tokenizer from `vocab.json` and `merges.txt`, whose first line is a version. */
export function optFromFiles(vocab: JsonFields, merges: string, mergesFile: string, config: JsonFields): OptDefinition {
  const lines = merges.split(/\r?\n/);
  const begin = lines[0]!.startsWith('#version') ? 1 : 0;
  return {
    vocab: readVocabulary(vocab),
    merges: lines.flatMap((line, index) => {
      return index < begin || line === '' ? [] : [readMerge(line, `${mergesFile}: line ${index + 1}`)];
    }),
    addPrefixSpace: config.boolean('add_prefix_space', false),
    mergesFile,
  };
}

function readMerge(merge: unknown, where: string): [string, string] {
  const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
  if (Array.isArray(pair) && pair.length === 2 && typeof pair[0] === 'string' && typeof pair[1] === 'string') {
    return [pair[0], pair[1]];
  }
  throw unusable(where, JSON.stringify(merge), 'two pieces with a space between them');
}

/** @throws {ConfigError} when a merge has a piece that is not in the vocabulary. */
export function optPipeline({ vocab, merges, addPrefixSpace, mergesFile }: OptDefinition): TokenizerPipeline {
  const model = new ByteLevelBpeModel(vocab, merges, (piece, rank) => {
    throw unusable(`${mergesFile}: merge ${rank + 1}`, `about '${piece}'`, 'a piece of the vocabulary');
  });
  return {
    kind: 'opt',
    vocab,
    normalize: (text) => text,
    splitWords: (text) => splitGpt2Words(text, addPrefixSpace),
    encodeWord: (word) => model.encode(word),
    decode: (pieces) => {
      const bytes = pieces.map(pieceBytes);
      const all = new Uint8Array(bytes.reduce((sum, each) => sum + each.length, 0));
      let at = 0;
      for (const each of bytes) {
        all.set(each, at);
        at += each.length;
      }
      // Without ignoreBOM the decoder would swallow U+FEFF. Broken sequences become U+FFFD.
      return new TextDecoder('utf-8', { ignoreBOM: true }).decode(all);
    },
  };
}
