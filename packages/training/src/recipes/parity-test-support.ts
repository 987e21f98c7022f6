import type { HostTensor, Weight, WeightSource } from '@blip2/core';
import type { Golden } from '@blip2/testing';
import { expect } from 'vitest';
import { namedTensors } from '../parameters/named-tensors.ts';
import type { ByPath } from '../parameters/separate-parameters.ts';
import type { StepState } from '../trainer/trainable-step.ts';

/** The gradients of a first step, by names of the checkpoint: its first moments are them, times 1 - β₁. */
export function firstGradients(
  { first }: StepState,
  trained: ByPath<Weight>,
  weights: WeightSource,
  beta: number,
): Map<string, Float32Array> {
  const moments = namedTensors(trained, first as ByPath<HostTensor>, (name) => weights.get(name)?.shape);
  return new Map(moments.map(({ name, values }) => [name, values.map((value) => value / (1 - beta))]));
}

/** Every gradient that the golden has whole, within 1e-4 of its largest entry. @param nameOf - The checkpoint's name of the golden's. */
export function expectGradients(
  gradients: ReadonlyMap<string, Float32Array>,
  golden: Golden,
  nameOf: (name: string) => string = (name) => name,
): void {
  const stored = golden.names.filter((name) => name.startsWith('grad.'));
  expect(stored.length).toBeGreaterThan(15);
  for (const name of stored) {
    const expected = Float32Array.from(golden.get(name).data);
    const found = gradients.get(nameOf(name.slice('grad.'.length)));
    expect(found?.length, name).toBe(expected.length);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = found!.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
    expect(worst / largest, name).toBeLessThan(1e-4);
  }
}

/** The norm of each gradient that the golden names, within a thousandth. */
export function expectGradientNorms(
  gradients: ReadonlyMap<string, Float32Array>,
  norms: Readonly<Record<string, number>>,
  nameOf: (name: string) => string,
): void {
  for (const [name, expected] of Object.entries(norms)) {
    const found = Math.hypot(...gradients.get(nameOf(name))!);
    expect(Math.abs(found - expected), name).toBeLessThanOrEqual(1e-3 * expected);
  }
}

/** Parameters after five steps: a first step has the size of the rate whatever the gradient, so that one entry in a hundred may be off by 2e-3. */
export function expectParameters(parameters: ReadonlyMap<string, Float32Array>, golden: Golden): void {
  const stored = golden.names.filter((name) => name.startsWith('adamw5.'));
  expect(stored.length).toBeGreaterThan(5);
  for (const name of stored) {
    const expected = golden.get(name).data;
    const found = parameters.get(name.slice('adamw5.'.length));
    expect(found?.length, name).toBe(expected.length);
    const differences = Array.from(expected, (value, index) => Math.abs(found![index]! - value) / (1 + Math.abs(value)));
    expect(Math.max(...differences), name).toBeLessThanOrEqual(2e-3);
    expect(differences.filter((one) => one > 1e-4).length / differences.length, name).toBeLessThanOrEqual(0.01);
  }
}

/** Names of the original implementation as those of the Hub. */
export function hubName(name: string): string {
  return name
    .replace(/^ln_vision\./, 'vision_model.post_layernorm.')
    .replace(/^vision_proj\./, 'vision_projection.')
    .replace(/^text_proj\./, 'text_projection.')
    .replace(/^Qformer\.cls\./, 'cls.')
    .replace(/^Qformer\.bert\.embeddings\.LayerNorm\./, 'qformer.layernorm.')
    .replace(/^Qformer\.bert\.embeddings\./, 'embeddings.')
    .replace(/^Qformer\.bert\./, 'qformer.')
    .replace('attention.self.', 'attention.attention.');
}
