import { existsSync, readFileSync } from 'node:fs';
import { fixturePath } from '@blip2/testing';
import { TOKENIZER_FILES, type TokenizerFiles } from '../tokenizer-files.ts';

/** The tokenizer files of a fixture folder, such as `models/tokenizers-real/opt`, less some. */
export function tokenizerFiles(folder: string, without: readonly string[] = []): TokenizerFiles {
  const names = TOKENIZER_FILES.filter((name) => !without.includes(name) && existsSync(fixturePath(folder, name)));
  return Object.fromEntries(names.map((name) => [name, readFileSync(fixturePath(folder, name))]));
}

/** A text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A value as the bytes of a JSON file. */
export function jsonBytes(value: unknown): Uint8Array {
  return bytesOf(JSON.stringify(value));
}
