import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertShape, sizeOf } from './shapes.ts';

describe('assertShape', () => {
  it('accepts exact sizes, named axes and scalars', () => {
    assertShape({ shape: [2, 257, 1408] }, ['batch', 'tokens', 1408], 'encodeQueries: imageFeatures');
    assertShape({ shape: [3, 3] }, ['rows', 'rows'], 'x');
    assertShape({ shape: [0, 4] }, ['batch', 4], 'x');
    assertShape({ shape: [] }, [], 'x');
  });

  it('says where, what came, what was expected and what to do', () => {
    const check = (shape: number[], expected: (number | string)[], cure?: string): (() => void) => {
      return () => assertShape({ shape }, expected, 'encodeQueries: imageFeatures', cure);
    };
    const cure = 'Width 1024 is a ViT-L encoder; this Q-Former was trained on ViT-g (1408).';
    expect(check([2, 257, 1024], ['batch', 'tokens', 1408], cure)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encodeQueries: imageFeatures is [2, 257, 1024], expected [batch, tokens, 1408]. Width 1024 is a ViT-L encoder; this Q-Former was trained on ViT-g (1408).]`,
    );
    expect(check([2, 257], ['batch', 'tokens', 1408])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encodeQueries: imageFeatures is [2, 257], expected [batch, tokens, 1408].]`,
    );
    expect(check([2, 3], ['n', 'n'])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: encodeQueries: imageFeatures is [2, 3], expected [n, n].]`,
    );
    expect(check([4], [])).toThrowErrorMatchingInlineSnapshot(`[ShapeError: encodeQueries: imageFeatures is [4], expected [].]`);
  });

  it('carries both shapes', () => {
    expect(() => assertShape({ shape: [1] }, ['batch', 2], 'x')).toThrow(
      expect.objectContaining({ code: 'shape', actual: [1], expected: ['batch', 2] }),
    );
  });

  it('holds exactly for the shapes that fit (property)', () => {
    const shapes = fc.array(fc.nat({ max: 3 }), { maxLength: 4 });
    fc.assert(
      fc.property(shapes, shapes, (actual, expected) => {
        const fits = actual.join() === expected.join();
        const check = (): void => assertShape({ shape: actual }, expected, 'x');
        if (fits) check();
        else expect(check).toThrow();
      }),
    );
  });
});

it('sizeOf counts elements; a scalar has one', () => {
  expect([sizeOf([]), sizeOf([5]), sizeOf([2, 3, 4]), sizeOf([2, 0])]).toEqual([1, 5, 24, 0]);
});
