import { readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { jsonBytes, tokenizerFiles } from './__fixtures__/files.ts';
import { createTokenizer, encodeBatch } from './index.ts';

interface Cases {
  readonly vocab_size_with_added: number;
  readonly cases: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly ids_no_special: number[];
    readonly tokens: string[];
    readonly decoded: string;
    readonly decoded_with_special: string;
  }[];
  readonly batches: readonly {
    readonly padding_side: 'left' | 'right';
    readonly padding: 'longest' | 'max_length';
    readonly truncation: boolean;
    readonly max_length: number | null;
    readonly texts: string[];
    readonly input_ids: number[][];
    readonly attention_mask: number[][];
  }[];
}

const folders = ['tokenizers', 'tokenizers-real'].flatMap((set) => ['bert', 'opt', 't5'].map((kind) => `models/${set}/${kind}`));
const variants = folders.flatMap((folder) => [
  { folder, name: folder, files: tokenizerFiles(folder) },
  { folder, name: `${folder} without tokenizer.json`, files: tokenizerFiles(folder, ['tokenizer.json']) },
]);

describe('against Hugging Face transformers', () => {
  for (const { folder, name, files } of variants) {
    const isWhole = ['tokenizer.json', 'vocab.txt', 'vocab.json', 'spiece.model'].some((file) => file in files);
    if (!isWhole) continue; // the real T5 vocabulary comes as tokenizer.json only
    describe(name, () => {
      const tokenizer = createTokenizer(files);
      const golden = JSON.parse(readFileSync(fixturePath(folder, 'cases.json'), 'utf8')) as Cases;

      it('has all tokens', () => {
        expect(tokenizer.vocabSize).toBe(golden.vocab_size_with_added);
      });

      it(`encodes ${golden.cases.length} texts`, () => {
        for (const { text, ids, ids_no_special, tokens } of golden.cases) {
          expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
          expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids_no_special);
          expect(tokenizer.tokenId(tokens[0] ?? ''), JSON.stringify(tokens)).toBe(ids_no_special[0]);
        }
      });

      it('decodes them', () => {
        for (const { ids, decoded, decoded_with_special } of golden.cases) {
          expect(tokenizer.decode(ids)).toBe(decoded);
          expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded_with_special);
        }
      });

      it(`makes ${golden.batches.length} batches`, () => {
        for (const batch of golden.batches) {
          const length = batch.padding === 'max_length' ? batch.max_length! : undefined;
          const maxLength = batch.truncation ? batch.max_length! : undefined;
          const { ids, mask } = encodeBatch(tokenizer, batch.texts, { side: batch.padding_side, length, maxLength });
          expect(ids).toEqual(batch.input_ids);
          expect(mask).toEqual(batch.attention_mask);
        }
      });
    });
  }
});

interface RandomCases {
  readonly text: string;
  readonly ids: number[];
  readonly random_ids: number[];
  readonly decoded: string;
  readonly decoded_with_special: string;
}

describe('against Hugging Face tokenizers, on random texts and ids', () => {
  const url = new URL('__fixtures__/tokenizer-cases.json', import.meta.url);
  const { flags, ...kinds } = JSON.parse(readFileSync(url, 'utf8')) as Record<'bert' | 'opt' | 't5', RandomCases[]> & {
    readonly flags: { readonly tokenizer: object; readonly cases: { readonly text: string; readonly ids: number[] }[] };
  };

  for (const [kind, cases] of Object.entries(kinds)) {
    it(`${kind}: ${cases.length} cases`, () => {
      const tokenizer = createTokenizer(tokenizerFiles(`models/tokenizers-real/${kind}`));
      for (const { text, ids, random_ids, decoded, decoded_with_special } of cases) {
        expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
        expect(tokenizer.decode(random_ids)).toBe(decoded);
        expect(tokenizer.decode(random_ids, { skipSpecialTokens: false })).toBe(decoded_with_special);
      }
    });
  }

  it('recognises added tokens by all their flags', () => {
    const tokenizer = createTokenizer({ 'tokenizer.json': jsonBytes(flags.tokenizer) });
    for (const { text, ids } of flags.cases) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(ids);
    }
  });
});
