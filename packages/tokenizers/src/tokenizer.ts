import { ConfigError, InputError } from '@blip2/core';
import type { Checkpoint, RunOptions, Tokenizer } from '@blip2/core';
import { AddedTokenSplitter, type AddedToken } from './added-tokens.ts';
import type { TokenizerKind, TokenizerPipeline } from './pipeline.ts';
import { readTokenizer, TOKENIZER_FILES, type TokenizerFiles } from './tokenizer-files.ts';

/** How a tokenizer is made of files. */
export interface TokenizerOptions {
  /**
   * The family to read; found out from the files where it is left out. A Q-Former reads `bert`, also in a folder that
   * has an OPT or T5 tokenizer as well.
   */
  readonly kind?: TokenizerKind;
  /** Special tokens that are appended to the vocabulary where it lacks them, as the original code appends `[DEC]`. */
  readonly addTokens?: readonly string[];
  /** What the files belong to, for messages. @default 'tokenizer' */
  readonly name?: string;
}

/**
 * Loads the tokenizer of a checkpoint: `tokenizer.json`, or the family's own files (`vocab.txt`; `vocab.json` and
 * `merges.txt`; `spiece.model`).
 *
 * @param checkpoint - Its files are read, not kept.
 * @throws {CheckpointError} when a file is missing or broken.
 * @throws {ConfigError} when the tokenizer is not of a known family.
 * @throws the abort signal's reason, unwrapped.
 *
 * @example
 * const tokenizer = await loadTokenizer(await openCheckpoint('models/blip2-opt-2.7b'));
 * tokenizer.encode('Question: which city is this? Answer:'); // [2, 45641, 35, 61, 343, 16, 42, 116, 31652, 35]
 *
 * Source: Hugging Face transformers 5, `BertTokenizer`, `GPT2Tokenizer`, `T5Tokenizer`.
 */
export async function loadTokenizer(
  checkpoint: Pick<Checkpoint, 'name' | 'readFile'>,
  options: Omit<TokenizerOptions, 'name'> & Pick<RunOptions, 'abortSignal'> = {},
): Promise<Tokenizer> {
  const { abortSignal } = options;
  abortSignal?.throwIfAborted();
  const read = async (name: (typeof TOKENIZER_FILES)[number]) =>
    [name, await checkpoint.readFile(name, { abortSignal })] as const;
  const contents = await Promise.all(TOKENIZER_FILES.map(read));
  abortSignal?.throwIfAborted();
  const files = Object.fromEntries(contents.filter(([, bytes]) => bytes !== undefined));
  return createTokenizer(files, { ...options, name: checkpoint.name });
}

/**
 * Makes a tokenizer of the bytes of its files.
 *
 * @throws {CheckpointError} when a file is missing or broken.
 * @throws {ConfigError} when the tokenizer is not of a known family.
 *
 * @example
 * const tokenizer = createTokenizer({ 'vocab.txt': new TextEncoder().encode('[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat') });
 * tokenizer.encode('A cat'); // [2, 4, 5, 3]
 */
export function createTokenizer(files: TokenizerFiles, options: TokenizerOptions = {}): Tokenizer {
  const { kind, addTokens = [], name = 'tokenizer' } = options;
  const { pipeline, addedTokens, roles } = readTokenizer(files, name, kind);
  const all = [...addedTokens];
  let size = highestId(pipeline.vocab.values(), all) + 1;
  for (const content of addTokens) {
    if (pipeline.vocab.has(content) || all.some((token) => token.content === content)) continue;
    all.push({ id: size++, content, special: true, normalized: false, singleWord: false, stripLeft: false, stripRight: false });
  }
  return new FileTokenizer(pipeline, all, roles, name);
}

function highestId(vocabIds: Iterable<number>, addedTokens: readonly AddedToken[]): number {
  let highest = -1;
  for (const id of vocabIds) highest = Math.max(highest, id);
  for (const { id } of addedTokens) highest = Math.max(highest, id);
  return highest;
}

/**
 * The tokens that stand around every text. OPT's is put in front always: some of its `tokenizer.json` files leave it
 * out, and the models were trained with it.
 */
const FRAME_ROLES: Readonly<Record<TokenizerKind, { readonly begin?: string; readonly end?: string }>> = {
  bert: { begin: 'cls_token', end: 'sep_token' },
  opt: { begin: 'bos_token' },
  t5: { end: 'eos_token' },
};

/** A tokenizer read from files; see the interface for what its members do. */
class FileTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly padTokenId: number;
  readonly beginTokenId?: number;
  readonly endTokenId?: number;
  readonly #pipeline: TokenizerPipeline;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #pieces: readonly (string | undefined)[];
  readonly #specialIds: ReadonlySet<number>;
  /** Tokens that are looked for in the text as given, and in the normalised text. */
  readonly #givenTokens: AddedTokenSplitter;
  readonly #normalizedTokens: AddedTokenSplitter;

  constructor(pipeline: TokenizerPipeline, addedTokens: readonly AddedToken[], roles: ReadonlyMap<string, string>, name: string) {
    this.#pipeline = pipeline;
    this.vocabSize = highestId(pipeline.vocab.values(), addedTokens) + 1;
    const pieces: (string | undefined)[] = Array.from({ length: this.vocabSize });
    for (const [piece, id] of pipeline.vocab) pieces[id] = piece;
    for (const { id, content } of addedTokens) pieces[id] = content;
    this.#pieces = pieces;
    this.#ids = new Map([...pipeline.vocab, ...addedTokens.map(({ content, id }) => [content, id] as const)]);
    this.#specialIds = new Set(addedTokens.filter((token) => token.special).map((token) => token.id));
    this.#givenTokens = new AddedTokenSplitter(addedTokens.filter((token) => !token.normalized));
    this.#normalizedTokens = new AddedTokenSplitter(
      addedTokens.filter((token) => token.normalized),
      (content) => pipeline.normalize(content),
    );
    const idOf = (role: string): number => {
      const token = roles.get(role)!;
      const id = this.#ids.get(token);
      if (id !== undefined) return id;
      throw new ConfigError(
        `${name}: the ${role} '${token}' is not in the vocabulary of ${this.#ids.size} tokens, expected one of them. ` +
          `Check that the tokenizer's files belong together.`,
      );
    };
    const { begin, end } = FRAME_ROLES[pipeline.kind];
    this.padTokenId = idOf('pad_token');
    if (begin !== undefined) this.beginTokenId = idOf(begin);
    if (end !== undefined) this.endTokenId = idOf(end);
  }

  encode(text: string, { addSpecialTokens = true }: { readonly addSpecialTokens?: boolean } = {}): number[] {
    if (typeof text !== 'string') {
      throw new InputError(`encode: text is ${describe(text)}, expected a string. Pass one text a call.`);
    }
    const ids: number[] = [];
    if (addSpecialTokens && this.beginTokenId !== undefined) ids.push(this.beginTokenId);
    // A lone surrogate has no UTF-8: it counts as U+FFFD, as wherever JavaScript writes UTF-8.
    this.#encodeInto(ids, text.toWellFormed());
    if (addSpecialTokens && this.endTokenId !== undefined) ids.push(this.endTokenId);
    return ids;
  }

  decode(ids: readonly number[], { skipSpecialTokens = true }: { readonly skipSpecialTokens?: boolean } = {}): string {
    const pieces: string[] = [];
    for (const id of ids) {
      if (!Number.isSafeInteger(id) || id < 0) {
        throw new InputError(`decode: an id is ${describe(id)}, expected integers of at least 0. Pass the ids of one text.`);
      }
      if (skipSpecialTokens && this.#specialIds.has(id)) continue;
      const piece = this.#pieces[id];
      if (piece !== undefined) pieces.push(piece); // models have rows beyond the vocabulary; those say nothing
    }
    return this.#pipeline.decode(pieces);
  }

  tokenId(token: string): number | undefined {
    return this.#ids.get(token);
  }

  #encodeInto(ids: number[], text: string): void {
    let isBeginning = true;
    for (const given of this.#givenTokens.split(text)) {
      if (typeof given === 'number') {
        ids.push(given);
      } else {
        for (const section of this.#normalizedTokens.split(this.#pipeline.normalize(given))) {
          if (typeof section === 'number') {
            ids.push(section);
          } else {
            for (const word of this.#pipeline.splitWords(section, isBeginning)) {
              for (const id of this.#pipeline.encodeWord(word)) ids.push(id);
            }
          }
          isBeginning = false;
        }
      }
      isBeginning = false;
    }
  }
}

function describe(value: unknown): string {
  return typeof value === 'object' && value !== null ? 'an object' : `${String(value)} (${typeof value})`;
}
