import { compare, type GoldenTensor } from '@blip2/testing';
import { expect } from 'vitest';
import type { GenerationRequest, PlainTensor } from '../browser/src/main.ts';

/** Pictures whose pixels do not depend on the decoder. */
export const PNG_IMAGES: readonly string[] = ['landscape.png', 'rgba.png', 'gray.png'].map(
  (name) => `/fixtures/preprocessing/images/${name}`,
);

/** A case of a golden file. */
export interface GoldenCase {
  readonly id: string;
  readonly request: GenerationRequest;
  readonly rows: readonly (readonly number[])[];
  readonly expectedScores: readonly number[] | undefined;
}

/** Cases of a golden file, cut to the PNG images: a JPEG's pixels depend on the decoder. */
// oxlint-disable-next-line typescript/no-explicit-any -- the fixture's own structure
export function goldenCases(json: any, ids: readonly string[]): GoldenCase[] {
  return ids.map((id): GoldenCase => {
    const found = json.generation_cases.find((one: { id: string }) => one.id === id);
    const { inputs, settings, new_tokens: rows, sequences_scores: sequenceScores } = found;
    const count = PNG_IMAGES.length * (settings.num_return_sequences ?? 1);
    const prompts = json.inputs[inputs].texts?.slice(0, PNG_IMAGES.length) ?? PNG_IMAGES.map(() => '');
    return {
      id,
      request: { prompts, settings: settingsOf(settings) },
      rows: rows.slice(0, count),
      expectedScores: sequenceScores?.slice(0, count),
    };
  });
}

/** The reference's names of decoding options in ours. */
function settingsOf(settings: Record<string, number>): GenerationRequest['settings'] {
  return {
    maxNewTokens: settings['max_new_tokens'],
    minNewTokens: settings['min_new_tokens'],
    beams: settings['num_beams'],
    lengthPenalty: settings['length_penalty'],
    repetitionPenalty: settings['repetition_penalty'],
    returnSequences: settings['num_return_sequences'],
  };
}

/** Fails unless values are close. */
export function expectClose(actual: PlainTensor, expected: PlainTensor | GoldenTensor, tolerance: number): void {
  const { pass, message } = compare(
    { shape: actual.shape, data: Float32Array.from(actual.data) },
    { shape: [...expected.shape], data: Float32Array.from(expected.data) },
    tolerance,
  );
  expect(pass, message).toBe(true);
}

/** Numbers as a tensor of one axis. */
export function plainList(data: readonly number[]): PlainTensor {
  return { shape: [data.length], data: [...data] };
}

/** The first rows. */
export function rowsOf({ shape, data }: GoldenTensor, rows: number): GoldenTensor {
  return { shape: [rows, ...shape.slice(1)], data: data.slice(0, (data.length / shape[0]!) * rows) };
}

/** `[batch, height, width, channels]` as the reference's `[batch, channels, height, width]`. */
export function channelsFirst({ shape, data }: PlainTensor): PlainTensor {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const moved = data.map((_, index) => {
    const x = index % width;
    const y = Math.floor(index / width) % height;
    const channel = Math.floor(index / (width * height)) % channels;
    const image = Math.floor(index / (width * height * channels));
    return data[((image * height + y) * width + x) * channels + channel]!;
  });
  return { shape: [batch, channels, height, width], data: moved };
}

/** The tokens of each row up to the end. */
export function untilEnd(rows: readonly (readonly number[])[], endTokenId: number): number[][] {
  return rows.map((row) => (row.includes(endTokenId) ? row.slice(0, row.indexOf(endTokenId)) : [...row]));
}
