import { openCheckpointFolder } from '@blip2/checkpoints/node';
import type { GenerateOptions, TokenBatch } from '@blip2/core';
import { compare, fixturePath, type Golden, TOLERANCE } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import type { Rank, Tensor, Tensor3D } from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { loadLanguageModel, type LoadLanguageModelOptions } from '../load-language-model.ts';
import { OptLanguageModel } from '../opt-model.ts';
import { T5LanguageModel } from '../t5-model.ts';

/** Loads the language model of a fixture folder of models/. The checkpoint stays open: its files are in memory. */
export async function loadFixture(
  folder: string,
  options: LoadLanguageModelOptions = {},
): Promise<OptLanguageModel | T5LanguageModel> {
  return loadLanguageModel(await openCheckpointFolder(fixturePath('models', folder)), options);
}

export async function loadOptFixture(folder: string, options: LoadLanguageModelOptions = {}): Promise<OptLanguageModel> {
  const model = await loadFixture(folder, options);
  if (model instanceof OptLanguageModel) return model;
  throw new Error(`${folder} is not an OPT model`);
}

export async function loadT5Fixture(folder: string, options: LoadLanguageModelOptions = {}): Promise<T5LanguageModel> {
  const model = await loadFixture(folder, options);
  if (model instanceof T5LanguageModel) return model;
  throw new Error(`${folder} is not a T5 model`);
}

/** One generation case of a golden file. */
export interface GenerationCase {
  readonly id: string;
  readonly inputs?: string;
  readonly settings: Readonly<Record<string, number | boolean | string | number[] | null>>;
  readonly prompt_length: number;
  readonly sequences: number[][];
  readonly new_tokens: number[][];
  readonly texts: string[];
  readonly sequences_scores?: number[];
}

/** The reference's settings under our names. Its length limit without a setting is 20. */
export function optionsOf({ settings, inputs }: GenerationCase): GenerateOptions {
  const value = <T>(name: string): T | undefined => (settings[name] ?? undefined) as T | undefined;
  const endTokens = value<number | number[]>('eos_token_id');
  return {
    maxNewTokens: value<number>('max_new_tokens') ?? 20,
    minNewTokens: value('min_new_tokens'),
    beams: value('num_beams'),
    lengthPenalty: value('length_penalty'),
    earlyStopping: value('early_stopping'),
    returnSequences: value('num_return_sequences'),
    repetitionPenalty: value('repetition_penalty'),
    noRepeatNgramSize: value('no_repeat_ngram_size'),
    endTokenIds: typeof endTokens === 'number' ? [endTokens] : endTokens,
    historyScope: inputs === 'embeds_only' ? 'new-tokens' : 'prompt',
  };
}

/** A row of new tokens up to its end token, which is left out with the filling behind it. */
export function untilEnd(tokens: readonly number[], endTokenIds: readonly number[]): number[] {
  const end = tokens.findIndex((id) => endTokenIds.includes(id));
  return tokens.slice(0, end < 0 ? undefined : end);
}

/** The visual prompt of a set of inputs: all images, or the one of `single_prompt`. */
export function visualPromptOf(golden: Golden, inputs: string): Tensor3D {
  const all = golden.tensor<Rank.R3>('language_projection');
  if (inputs !== 'single_prompt') return all;
  const index = golden.json.image_order.indexOf(golden.json.inputs.single_prompt.images[0]);
  const single = tf.slice(all, [index, 0, 0], [1, -1, -1]);
  all.dispose();
  return single;
}

/** Ids and mask of a golden entry. */
export function batchOf(entry: { input_ids: number[][]; attention_mask: number[][] }): TokenBatch {
  return { ids: entry.input_ids, mask: entry.attention_mask };
}

/** Rows of a golden int tensor `[rows, columns]`. */
export function rowsOf({ shape, data }: ReturnType<Golden['get']>): number[][] {
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, row) => Array.from(data.subarray(row * columns, (row + 1) * columns)));
}

/** One step of a golden tensor `[rows, steps, vocab]`: for each row its `[vocab]` numbers. */
export function stepOf({ shape, data }: ReturnType<Golden['get']>, step: number): number[][] {
  const [rows, steps, vocab] = shape as [number, number, number];
  const begin = (row: number): number => (row * steps + step) * vocab;
  return Array.from({ length: rows }, (_, row) => Array.from(data.subarray(begin(row), begin(row) + vocab)));
}

/** One weight of a fixture folder, as a tensor. */
export async function readFixtureWeight(folder: string, name: string): Promise<Tensor> {
  const checkpoint = await openCheckpointFolder(fixturePath('models', folder));
  const weight = checkpoint.weights.get(name)!;
  const tensor = tf.tensor(await weight.read(), weight.shape.slice());
  checkpoint.dispose();
  return tensor;
}

/** Compares rows `[row][position]` of two tensors where the mask is 1: the reference computes something else at padding. */
export function expectWhereReal(actual: Tensor3D, expected: Tensor3D, mask: readonly (readonly number[])[]): void {
  const real = tf.tensor(mask.slice(0, expected.shape[0]) as number[][], [expected.shape[0], expected.shape[1], 1], 'float32');
  const shown = tf.slice(actual, [0, 0, 0], expected.shape);
  expect(tf.mul(shown, real)).toBeAllclose(tf.mul(expected, real), TOLERANCE.activations);
}

/** Largest difference relative to the largest entry, as the golden gradients are given. */
export function expectGradient(actual: Tensor, expected: { data: ArrayLike<number> }): void {
  const largest = Array.from(expected.data).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const { message, pass } = compare(
    Array.from(actual.dataSync(), (value) => value / largest),
    Array.from(expected.data, (value) => value / largest),
    1e-4,
  );
  expect(pass, message).toBe(true);
}
