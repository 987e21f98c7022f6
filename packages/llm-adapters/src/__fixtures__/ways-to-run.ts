import type { Engine } from '@blip2/core';
import { eagerEngine } from '@blip2/testing/engine';

/** The two ways to run a model, which must give the same: for `describe.each`. */
export const WAYS_TO_RUN: readonly (readonly [way: string, makeEngine: () => Engine | undefined])[] = [
  ['by blocks', () => undefined],
  ['on an engine', () => eagerEngine()],
];
