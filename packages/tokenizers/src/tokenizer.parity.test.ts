import { existsSync, readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import { describe, expect, it } from 'vitest';
import { createTokenizer, encodeBatch, type TokenizerFiles } from './index.ts';
import { TOKENIZER_FILES } from './tokenizer-files.ts';

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

function filesOf(folder: string, without: readonly string[] = []): TokenizerFiles {
  const names = TOKENIZER_FILES.filter((name) => !without.includes(name) && existsSync(fixturePath(folder, name)));
  return Object.fromEntries(names.map((name) => [name, readFileSync(fixturePath(folder, name))]));
}

const folders = ['tokenizers', 'tokenizers-real'].flatMap((set) => ['bert', 'opt', 't5'].map((kind) => `models/${set}/${kind}`));
const variants = folders.flatMap((folder) => [
  { folder, name: folder, files: filesOf(folder) },
  { folder, name: `${folder} without tokenizer.json`, files: filesOf(folder, ['tokenizer.json']) },
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
