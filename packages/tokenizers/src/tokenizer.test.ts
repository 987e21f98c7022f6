import { readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import type { Tokenizer } from '@blip2/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, jsonBytes, tokenizerFiles } from './__fixtures__/files.ts';
import { createTextStream, createTokenizer, encodeBatch, loadTokenizer, type TokenizerFiles } from './index.ts';

const real: Readonly<Record<'bert' | 'opt' | 't5', Tokenizer>> = {
  bert: createTokenizer(tokenizerFiles('models/tokenizers-real/bert')),
  opt: createTokenizer(tokenizerFiles('models/tokenizers-real/opt')),
  t5: createTokenizer(tokenizerFiles('models/tokenizers-real/t5')),
};
const vocabulary = bytesOf('[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat\n');

describe('published ids', () => {
  it('OPT: a begin token, no end token', () => {
    expect(real.opt.encode('Question: which city is this? Answer:')).toEqual([2, 45641, 35, 61, 343, 16, 42, 116, 31652, 35]);
    expect([real.opt.padTokenId, real.opt.beginTokenId, real.opt.endTokenId]).toEqual([1, 2, undefined]);
    expect(real.opt.tokenId('<image>')).toBe(50265);
  });

  it('T5: an end token, no begin token', () => {
    expect(real.t5.encode('san diego')).toEqual([3, 7, 152, 67, 839, 1]);
    expect([real.t5.padTokenId, real.t5.beginTokenId, real.t5.endTokenId]).toEqual([0, undefined, 1]);
  });

  it('BERT: both', () => {
    expect(real.bert.encode('hello world')).toEqual([101, 7592, 2088, 102]);
    expect([real.bert.padTokenId, real.bert.beginTokenId, real.bert.endTokenId]).toEqual([0, 101, 102]);
    expect(real.bert.tokenId('[DEC]')).toBe(30522);
    expect(real.bert.tokenId('no such token')).toBeUndefined();
  });
});

describe('createTokenizer', () => {
  it('needs no more than a vocabulary', () => {
    const tokenizer = createTokenizer({ 'vocab.txt': vocabulary });
    expect(tokenizer.encode('A cat')).toEqual([2, 4, 5, 3]);
    expect(tokenizer.vocabSize).toBe(6);
  });

  it('appends tokens the vocabulary lacks', () => {
    const tokenizer = createTokenizer({ 'vocab.txt': vocabulary }, { addTokens: ['cat', '[DEC]'] });
    expect(tokenizer.tokenId('[DEC]')).toBe(6);
    expect(tokenizer.encode('[DEC]cat', { addSpecialTokens: false })).toEqual([6, 5]);
    expect(tokenizer.decode([6, 5])).toBe('cat');
  });

  it('reads the options of BERT', () => {
    const config = jsonBytes({ tokenizer_class: 'BertTokenizer', do_lower_case: false, tokenize_chinese_chars: false });
    const tokenizer = createTokenizer({ 'vocab.txt': vocabulary, 'tokenizer_config.json': config });
    expect(tokenizer.encode('A cat', { addSpecialTokens: false })).toEqual([1, 5]);
  });

  it('takes BERT files beside an OPT tokenizer', () => {
    const files = { ...tokenizerFiles('models/tokenizers/opt'), 'vocab.txt': vocabulary };
    expect(createTokenizer(files, { kind: 'bert' }).encode('a cat')).toEqual([2, 4, 5, 3]);
    expect(createTokenizer(files).encode('a cat')[0]).toBe(2); // OPT's begin token
  });

  it('puts the begin token before OPT texts where the file does not', () => {
    const files = tokenizerFiles('models/tokenizers/opt');
    const json = JSON.parse(new TextDecoder().decode(files['tokenizer.json'])) as object;
    const changed = {
      ...files,
      'tokenizer.json': jsonBytes({ ...json, post_processor: { type: 'ByteLevel', trim_offsets: false } }),
    };
    expect(createTokenizer(changed).encode('a cat')).toEqual(createTokenizer(files).encode('a cat'));
  });

  it('knows both ways to write merges', () => {
    const files = tokenizerFiles('models/tokenizers/opt');
    const json = JSON.parse(new TextDecoder().decode(files['tokenizer.json'])) as { model: { merges: string[][] } };
    const merges = json.model.merges.map((pair) => pair.join(' '));
    const changed = { ...files, 'tokenizer.json': jsonBytes({ ...json, model: { ...json.model, merges } }) };
    expect(createTokenizer(changed).encode('the under')).toEqual(createTokenizer(files).encode('the under'));
  });

  it('reads newer T5 normalizers', () => {
    const files = tokenizerFiles('models/tokenizers/t5');
    const json = JSON.parse(new TextDecoder().decode(files['tokenizer.json'])) as { normalizer: object };
    const normalizers = [
      json.normalizer,
      { type: 'Strip', strip_left: false, strip_right: true },
      { type: 'Replace', pattern: { Regex: ' {2,}' }, content: '▁' },
    ];
    const preTokenizer = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
    const newer = { ...json, normalizer: { type: 'Sequence', normalizers }, pre_tokenizer: preTokenizer };
    const changed = createTokenizer({ ...files, 'tokenizer.json': jsonBytes(newer) });
    for (const text of ['the cat', 'the   cat ', ' the'])
      expect(changed.encode(text)).toEqual(createTokenizer(files).encode(text));
  });
});

describe('loadTokenizer', () => {
  const checkpointOf = (folder: string) => ({
    name: folder,
    readFile: (name: string) => Promise.resolve(tokenizerFiles(folder)[name as keyof TokenizerFiles]),
  });

  it('finds the family out', async () => {
    for (const kind of ['bert', 'opt', 't5'] as const) {
      const tokenizer = await loadTokenizer(checkpointOf(`models/tokenizers-real/${kind}`));
      expect(tokenizer.encode('A photo of a cat.')).toEqual(real[kind].encode('A photo of a cat.'));
    }
  });

  it('rejects with the reason of an abort', async () => {
    const abortSignal = AbortSignal.abort();
    await expect(loadTokenizer(checkpointOf('models/tokenizers/opt'), { abortSignal })).rejects.toBe(abortSignal.reason);
  });
});

describe('unusable files', () => {
  const opt = tokenizerFiles('models/tokenizers/opt');
  const optFiles = tokenizerFiles('models/tokenizers/opt', ['tokenizer.json']);
  const json = JSON.parse(new TextDecoder().decode(opt['tokenizer.json'])) as Record<string, object>;
  const spiece = readFileSync(fixturePath('models/tokenizers/t5/spiece.model'));
  const withJson = (change: object): TokenizerFiles => ({ 'tokenizer.json': jsonBytes({ ...json, ...change }) });
  const cure = 'Use the tokenizer files of a BERT, OPT or T5 checkpoint, unchanged.';

  it.each<[string, TokenizerFiles, string, string]>([
    [
      'none',
      {},
      'checkpoint',
      "models/x: found no tokenizer file, expected tokenizer.json, or vocab.txt (BERT), vocab.json and merges.txt (OPT), or spiece.model (T5). Add the model's tokenizer files to the folder.",
    ],
    [
      'only merges',
      { 'merges.txt': bytesOf('') },
      'checkpoint',
      'models/x: found only merges.txt, expected tokenizer.json, or vocab.txt (BERT)',
    ],
    [
      'no merges',
      { 'vocab.json': optFiles['vocab.json'] },
      'checkpoint',
      'models/x/merges.txt: found no such file and no tokenizer.json, expected the files of the OPT tokenizer. Add them to the folder.',
    ],
    [
      'broken JSON',
      { 'tokenizer.json': bytesOf('{"model": ') },
      'checkpoint',
      'models/x/tokenizer.json: found 10 bytes that are not JSON (Unexpected end of JSON input), expected a JSON object. Download the file again.',
    ],
    [
      'a list',
      { 'tokenizer.json': bytesOf('[]') },
      'config',
      `models/x/tokenizer.json: the file is [], expected an object. ${cure}`,
    ],
    [
      'another model type',
      withJson({ model: { type: 'WordLevel' } }),
      'config',
      `models/x/tokenizer.json: model.type is "WordLevel", expected WordPiece (BERT), BPE (OPT) or Unigram (T5). ${cure}`,
    ],
    [
      'another class',
      { ...optFiles, 'tokenizer_config.json': jsonBytes({ tokenizer_class: 'LlamaTokenizer' }) },
      'config',
      `models/x/tokenizer_config.json: tokenizer_class is "LlamaTokenizer", expected BertTokenizer, GPT2Tokenizer or T5Tokenizer. ${cure}`,
    ],
    [
      'another pre-tokenizer',
      withJson({ pre_tokenizer: { type: 'Whitespace' } }),
      'config',
      `models/x/tokenizer.json: pre_tokenizer.type is "Whitespace", expected ByteLevel. ${cure}`,
    ],
    [
      'no vocabulary',
      withJson({ model: { type: 'BPE', merges: [] } }),
      'config',
      `models/x/tokenizer.json: model.vocab is missing, expected an object. ${cure}`,
    ],
    [
      'an id that is none',
      withJson({ model: { type: 'BPE', vocab: { a: 'b' }, merges: [] } }),
      'config',
      `models/x/tokenizer.json: model.vocab.a is "b", expected an id of at least 0. ${cure}`,
    ],
    [
      'a merge that is none',
      withJson({ model: { type: 'BPE', vocab: { a: 0 }, merges: ['a'] } }),
      'config',
      `models/x/tokenizer.json: model.merges[0] is "a", expected two pieces with a space between them. ${cure}`,
    ],
    [
      'a merge of unknown pieces',
      { ...optFiles, 'merges.txt': bytesOf('#version: 0.2\nt h\nq zz\n') },
      'config',
      `models/x/merges.txt: merge 2 is about 'zz', expected a piece of the vocabulary. ${cure}`,
    ],
    [
      'no pad token',
      { 'vocab.txt': bytesOf('[UNK]\n[CLS]\n[SEP]') },
      'config',
      "models/x: the pad_token '[PAD]' is not in the vocabulary of 3 tokens, expected one of them. Check that the tokenizer's files belong together.",
    ],
    [
      'no unknown token',
      { 'vocab.txt': bytesOf('[PAD]\n[CLS]\n[SEP]') },
      'config',
      `models/x/vocab.txt: the unknown token '[UNK]' is missing, expected a piece. ${cure}`,
    ],
    [
      'a truncated SentencePiece model',
      { 'spiece.model': spiece.subarray(0, 5000) },
      'checkpoint',
      "models/x/spiece.model: found a field that ends beyond the file at byte 4354, expected a SentencePiece unigram model, as T5's. Download the file again.",
    ],
    [
      'a SentencePiece model that is none',
      { 'spiece.model': bytesOf('<!DOCTYPE html><html>') },
      'checkpoint',
      'models/x/spiece.model: found ',
    ],
  ])('%s', (_, files, code, message) => {
    expect(() => createTokenizer(files, { name: 'models/x' })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error,
    );
  });

  it('a character map that is none', () => {
    const t5 = JSON.parse(new TextDecoder().decode(tokenizerFiles('models/tokenizers/t5')['tokenizer.json'])) as object;
    const normalizer = { type: 'Precompiled', precompiled_charsmap: btoa('\x09\x00\x00\x00abc') };
    const files = { 'tokenizer.json': jsonBytes({ ...t5, normalizer }) };
    expect(() => createTokenizer(files, { name: 'models/x' })).toThrow(
      'models/x/tokenizer.json: normalizer.precompiled_charsmap: found 7 bytes that announce a trie of 9, expected a SentencePiece character map, whose trie is a multiple of 4 bytes and fits. Use the file of the checkpoint, unchanged.',
    );
  });

  it('a family whose files are not there', () => {
    expect(() => createTokenizer(opt, { name: 'models/x', kind: 't5' })).toThrow(
      'models/x/spiece.model: found a tokenizer.json of another family and no such file, expected the files of the T5 tokenizer. Add them to the folder.',
    );
  });
});

describe('encode and decode', () => {
  it('refuse what is no text and no id', () => {
    expect(() => real.opt.encode(42 as unknown as string)).toThrow(
      'encode: text is 42 (number), expected a string. Pass one text a call.',
    );
    expect(() => real.opt.encode(['a'] as unknown as string)).toThrow('encode: text is an object, expected a string.');
    expect(() => real.opt.decode([1.5])).toThrow(
      'decode: an id is 1.5 (number), expected integers of at least 0. Pass the ids of one text.',
    );
    expect(() => real.opt.decode([-1])).toThrow('decode: an id is -1 (number)');
  });

  it('read a lone surrogate as U+FFFD', () => {
    for (const tokenizer of Object.values(real)) {
      expect(tokenizer.encode('a\uD800b')).toEqual(tokenizer.encode('a\uFFFDb'));
    }
  });

  it('skip ids beyond the vocabulary', () => {
    expect(real.opt.decode([2, 102, 50270, 428])).toBe('ab');
    expect(real.opt.decode([])).toBe('');
  });

  it('keep every text of whole characters through OPT', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).map((string) => string.toWellFormed());
    fc.assert(
      fc.property(text, (original) => {
        expect(real.opt.decode(real.opt.encode(original, { addSpecialTokens: false }))).toBe(original);
      }),
      { numRuns: 100 },
    );
  });

  it('take linear time on many equal characters', () => {
    for (const tokenizer of Object.values(real)) {
      for (const character of ['a', ' ', '中', '!', '\u0301']) {
        const begin = performance.now();
        tokenizer.decode(tokenizer.encode(character.repeat(100_000)));
        expect(performance.now() - begin).toBeLessThan(5000); // measured: 0.2 s; quadratic time would be minutes
      }
    }
  });
});

describe('encodeBatch', () => {
  const tokenizer = createTokenizer({ 'vocab.txt': vocabulary });

  it('pads, and cuts before the end token', () => {
    expect(encodeBatch(tokenizer, ['a', 'a cat a'], { maxLength: 4, side: 'left' })).toEqual({
      ids: [
        [0, 2, 4, 3],
        [2, 4, 5, 3],
      ],
      mask: [
        [0, 1, 1, 1],
        [1, 1, 1, 1],
      ],
    });
    expect(encodeBatch(tokenizer, ['a'], { addSpecialTokens: false, length: 2 })).toEqual({ ids: [[4, 0]], mask: [[1, 0]] });
    expect(encodeBatch(tokenizer, [])).toEqual({ ids: [], mask: [] });
  });

  it('refuses a length without room', () => {
    for (const maxLength of [1, Number.NaN]) {
      expect(() => encodeBatch(tokenizer, ['a'], { maxLength })).toThrow(
        `encodeBatch: maxLength is ${maxLength}, expected at least 2, for the tokens around each text. Raise it.`,
      );
    }
  });
});

describe('createTextStream', () => {
  it('holds back half a character', () => {
    const text = createTextStream(real.opt);
    const parts = real.opt.encode('a 𠀀!', { addSpecialTokens: false }).map((id) => text.push(id));
    expect(parts.join('')).toBe('a 𠀀!');
    expect(parts).toEqual(['a', ' ', '', '', '', '𠀀', '!']);
    expect(text.flush()).toBe('');
  });

  it('gives out at the end what never became a character', () => {
    const text = createTextStream(real.opt);
    const [first] = real.opt.encode('𠀀', { addSpecialTokens: false });
    expect(text.push(first!) + text.flush()).toBe(real.opt.decode([first!]));
    expect(text.push(102)).toBe('a'); // anew
  });

  for (const [kind, tokenizer] of Object.entries(real)) {
    it(`joins to what decode gives: ${kind}`, () => {
      const anyIds = fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize + 5 }), { maxLength: 20 });
      const textIds = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => tokenizer.encode(text));
      fc.assert(
        fc.property(fc.oneof(anyIds, textIds), fc.boolean(), (ids, skipSpecialTokens) => {
          const stream = createTextStream(tokenizer, { skipSpecialTokens });
          const parts = ids.map((id) => stream.push(id));
          expect(parts.join('') + stream.flush()).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
        }),
        { numRuns: 100 },
      );
    });
  }
});
