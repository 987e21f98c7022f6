import { CheckpointError } from '@blip2/core';
import type { AddedToken } from './added-tokens.ts';
import { bertFromJson, bertFromVocabulary, bertPipeline, type BertDefinition } from './bert-tokenizer.ts';
import { JsonFields, unusable } from './json-fields.ts';
import { optFromFiles, optFromJson, optPipeline } from './opt-tokenizer.ts';
import type { TokenizerKind, TokenizerPipeline } from './pipeline.ts';
import { readSentencePieceModel } from './sentencepiece-model.ts';
import { t5FromJson, t5FromSentencePiece, t5Pipeline } from './t5-tokenizer.ts';

/** Names of the files a tokenizer may consist of. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'spiece.model',
] as const;

/** The bytes of a tokenizer's files by name; absent ones are left out. */
export type TokenizerFiles = { readonly [Name in (typeof TOKENIZER_FILES)[number]]?: Uint8Array };

/** A tokenizer's files, understood. */
export interface ReadTokenizer {
  readonly pipeline: TokenizerPipeline;
  readonly addedTokens: readonly AddedToken[];
  /** The token of each role, such as `pad_token`, as the files or the family say. */
  readonly roles: ReadonlyMap<string, string>;
}

/** What a family's tokens are called where the files do not say. */
const FAMILY_ROLES: Readonly<Record<TokenizerKind, Readonly<Record<string, string>>>> = {
  bert: { pad_token: '[PAD]', unk_token: '[UNK]', cls_token: '[CLS]', sep_token: '[SEP]', mask_token: '[MASK]' },
  opt: { pad_token: '<pad>', bos_token: '</s>', eos_token: '</s>', unk_token: '</s>' },
  t5: { pad_token: '<pad>', eos_token: '</s>', unk_token: '<unk>' },
};

const FAMILY_OF_MODEL: Readonly<Record<string, TokenizerKind>> = { WordPiece: 'bert', BPE: 'opt', Unigram: 't5' };

/**
 * Reads a tokenizer from its files. `tokenizer.json` counts where it is there and of the wanted family; otherwise the
 * family's own files do.
 *
 * @param folder - What the files belong to, for messages.
 * @throws {CheckpointError} when a file is missing or broken.
 * @throws {ConfigError} when the tokenizer is none of the three families, or its files contradict each other.
 */
export function readTokenizer(files: TokenizerFiles, folder: string, wanted: TokenizerKind | undefined): ReadTokenizer {
  const path = (name: string): string => `${folder}/${name}`;
  const parse = (name: keyof TokenizerFiles): JsonFields | undefined => {
    const bytes = files[name];
    return bytes === undefined ? undefined : JsonFields.parse(path(name), bytes);
  };
  const json = parse('tokenizer.json');
  const config = parse('tokenizer_config.json');
  const jsonKind = json === undefined ? undefined : kindOfJson(json);
  const configKind = config === undefined ? undefined : kindOfClass(config);
  const kind = wanted ?? jsonKind ?? configKind ?? kindOfFiles(files, folder);
  // A folder may hold two tokenizers; the JSON files then describe one of them.
  const isDescribed = (jsonKind ?? configKind ?? kind) === kind;
  const own = (name: keyof TokenizerFiles): JsonFields =>
    (isDescribed ? parse(name) : undefined) ?? new JsonFields(path(name), {});
  const described: Descriptions = {
    json: isDescribed ? json : undefined,
    config: own('tokenizer_config.json'),
    specialTokens: own('special_tokens_map.json'),
    addedTokens: own('added_tokens.json'),
  };
  const roles = readRoles(kind, described);
  const pipeline = described.json
    ? pipelineFromJson(described.json, kind)
    : pipelineFromFiles(files, kind, {
        folder,
        config: described.config,
        unknownToken: roles.get('unk_token')!,
        hasJson: json !== undefined,
      });
  return { pipeline, addedTokens: collectAddedTokens(described, pipeline, roles), roles };
}

/** The JSON files of the tokenizer that is read. */
interface Descriptions {
  readonly json: JsonFields | undefined;
  readonly config: JsonFields;
  readonly specialTokens: JsonFields;
  readonly addedTokens: JsonFields;
}

function kindOfJson(json: JsonFields): TokenizerKind {
  const model = json.object('model');
  const kind = FAMILY_OF_MODEL[String(model.raw('type'))];
  if (kind === undefined) throw model.unexpected('type', 'WordPiece (BERT), BPE (OPT) or Unigram (T5)');
  return kind;
}

function kindOfClass(config: JsonFields): TokenizerKind | undefined {
  if (!config.has('tokenizer_class')) return undefined;
  const name = config.string('tokenizer_class');
  if (name.startsWith('PreTrainedTokenizer')) return undefined; // says nothing
  if (name.startsWith('Bert')) return 'bert';
  if (name.startsWith('GPT2') || name.startsWith('OPT')) return 'opt';
  if (name.startsWith('T5')) return 't5';
  throw config.unexpected('tokenizer_class', 'BertTokenizer, GPT2Tokenizer or T5Tokenizer');
}

function kindOfFiles(files: TokenizerFiles, folder: string): TokenizerKind {
  if (files['vocab.txt'] !== undefined) return 'bert';
  if (files['vocab.json'] !== undefined) return 'opt';
  if (files['spiece.model'] !== undefined) return 't5';
  const found = Object.keys(files).length === 0 ? 'no tokenizer file' : `only ${Object.keys(files).join(', ')}`;
  const expected = 'tokenizer.json, or vocab.txt (BERT), vocab.json and merges.txt (OPT), or spiece.model (T5)';
  throw new CheckpointError(
    `${folder}: found ${found}, expected ${expected}. Add the model's tokenizer files to the folder.`,
    folder,
  );
}

function pipelineFromJson(json: JsonFields, kind: TokenizerKind): TokenizerPipeline {
  if (kind === 'opt') return optPipeline(optFromJson(json));
  if (kind === 't5') return t5Pipeline(t5FromJson(json));
  return bertPipelineOf(bertFromJson(json), json.file);
}

interface FileContext {
  readonly folder: string;
  readonly config: JsonFields;
  readonly unknownToken: string;
  /** Whether there is a `tokenizer.json`, of another family. */
  readonly hasJson: boolean;
}

function pipelineFromFiles(files: TokenizerFiles, kind: TokenizerKind, context: FileContext): TokenizerPipeline {
  const { folder, config, unknownToken, hasJson } = context;
  const read = (name: keyof TokenizerFiles): Uint8Array => {
    const bytes = files[name];
    if (bytes !== undefined) return bytes;
    const found = hasJson ? 'a tokenizer.json of another family and no such file' : 'no such file and no tokenizer.json';
    const family = { bert: 'BERT', opt: 'OPT', t5: 'T5' }[kind];
    const message = `${folder}/${name}: found ${found}, expected the files of the ${family} tokenizer. Add them to the folder.`;
    throw new CheckpointError(message, `${folder}/${name}`);
  };
  const text = (name: keyof TokenizerFiles): string => new TextDecoder().decode(read(name));
  switch (kind) {
    case 'bert':
      return bertPipelineOf(bertFromVocabulary(text('vocab.txt'), config, unknownToken), `${folder}/vocab.txt`);
    case 'opt': {
      const vocab = JsonFields.parse(`${folder}/vocab.json`, read('vocab.json'));
      return optPipeline(optFromFiles(vocab, text('merges.txt'), `${folder}/merges.txt`, config));
    }
    case 't5':
      return t5Pipeline(t5FromSentencePiece(readSentencePieceModel(read('spiece.model'), `${folder}/spiece.model`), config));
  }
}

function bertPipelineOf(definition: BertDefinition, file: string): TokenizerPipeline {
  const unknownId = definition.vocab.get(definition.unknownToken);
  if (unknownId === undefined) throw unusable(`${file}: the unknown token '${definition.unknownToken}'`, 'missing', 'a piece');
  return bertPipeline(definition, unknownId);
}

/** A token in a configuration is its text, or an object with its text and flags. */
function tokenContent(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const content = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : undefined;
  return typeof content === 'string' ? content : undefined;
}

function readRoles(kind: TokenizerKind, { specialTokens, config }: Descriptions): Map<string, string> {
  const roles = new Map(Object.entries(FAMILY_ROLES[kind]));
  for (const [role, value] of [...specialTokens.entries, ...config.entries]) {
    const content = role.endsWith('_token') ? tokenContent(value) : undefined;
    if (content !== undefined) roles.set(role, content);
  }
  return roles;
}

/**
 * The added tokens of all files; the first to name a token decides. Tokens with a role that are pieces of the vocabulary
 * are added tokens, too.
 */
function collectAddedTokens(
  { json, config, specialTokens, addedTokens }: Descriptions,
  { kind, vocab }: TokenizerPipeline,
  roles: ReadonlyMap<string, string>,
): AddedToken[] {
  const special = new Set([...roles.values(), ...namedTokens(config), ...namedTokens(specialTokens)]);
  // T5's sentinels are pieces of every T5 vocabulary.
  if (kind === 't5') for (const piece of vocab.keys()) if (/^<extra_id_\d+>$/.test(piece)) special.add(piece);
  const found: AddedToken[] = [];
  if (json?.has('added_tokens')) {
    found.push(...json.objects('added_tokens').map((fields) => readAddedToken(fields, fields.integer('id'))));
  }
  const decoder = config.optionalObject('added_tokens_decoder');
  for (const [key] of decoder?.entries ?? []) {
    const id = Number(key);
    if (!Number.isSafeInteger(id) || id < 0) throw unusable(`${config.file}: a key of added_tokens_decoder`, `'${key}'`, 'an id');
    found.push(readAddedToken(decoder!.object(key), id));
  }
  for (const [content] of addedTokens.entries)
    found.push(plainToken(content, addedTokens.integer(content), special.has(content)));
  for (const content of special) {
    const id = vocab.get(content);
    if (id !== undefined) found.push(plainToken(content, id, true));
  }
  const byContent = new Map(found.toReversed().map((token) => [token.content, token]));
  return [...byContent.values()].toSorted((left, right) => left.id - right.id);
}

/** The special tokens that a file lists without a role. */
function namedTokens(fields: JsonFields): string[] {
  const lists = ['additional_special_tokens', 'extra_special_tokens'].map((name) => fields.raw(name));
  return lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : [])).flatMap((token) => tokenContent(token) ?? []);
}

function plainToken(content: string, id: number, special: boolean): AddedToken {
  return { id, content, special, normalized: !special, singleWord: false, stripLeft: false, stripRight: false };
}

function readAddedToken(fields: JsonFields, id: number): AddedToken {
  const special = fields.boolean('special', false);
  return {
    id,
    content: fields.string('content'),
    special,
    normalized: fields.boolean('normalized', !special),
    singleWord: fields.boolean('single_word', false),
    stripLeft: fields.boolean('lstrip', false),
    stripRight: fields.boolean('rstrip', false),
  };
}
