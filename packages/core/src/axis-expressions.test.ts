import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { axisNames, bindAxes, evaluateAxis, parseAxis } from './axis-expressions.ts';
import { ConfigError, ShapeError } from './errors.ts';

const sizes = new Map([
  ['past', 7],
  ['tokens', 2],
  ['rows', 3],
]);

describe('parseAxis', () => {
  it('reads numbers, names, sums and products', () => {
    expect(parseAxis(3)).toEqual([{ factor: 3, names: [] }]);
    expect(parseAxis('batch')).toEqual([{ factor: 1, names: ['batch'] }]);
    expect(parseAxis('past + tokens')).toEqual([
      { factor: 1, names: ['past'] },
      { factor: 1, names: ['tokens'] },
    ]);
    expect(parseAxis('1+2*rows * 7*columns')).toEqual([
      { factor: 1, names: [] },
      { factor: 14, names: ['rows', 'columns'] },
    ]);
  });

  it('lists names once', () => {
    expect(axisNames(parseAxis('rows * columns + 2 * rows + 1'))).toEqual(['rows', 'columns']);
  });

  it('says what it cannot read', () => {
    expect(() => parseAxis('past - 1')).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: parseAxis: 'past - 1' cannot be read: 'past - 1' is neither a whole number nor a name. Write whole numbers and names with + and * between them, such as 'past + tokens'.]`,
    );
    expect(() => parseAxis('past +')).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: parseAxis: 'past +' cannot be read: a part is missing. Write whole numbers and names with + and * between them, such as 'past + tokens'.]`,
    );
    expect(() => parseAxis(-1)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: parseAxis: '-1' cannot be read: -1 is no size. Write whole numbers and names with + and * between them, such as 'past + tokens'.]`,
    );
    for (const axis of ['', '1.5', '2 rows', '(1 + rows) * 2', 1.5, Number.NaN]) {
      expect(() => parseAxis(axis), `${axis}`).toThrow(ConfigError);
    }
  });
});

describe('evaluateAxis', () => {
  it('multiplies before it adds', () => {
    expect(evaluateAxis(parseAxis('1 + rows * tokens'), sizes)).toBe(7);
    expect(evaluateAxis(parseAxis('2 * past + 3 * tokens'), sizes)).toBe(20);
    expect(evaluateAxis(parseAxis(5), new Map())).toBe(5);
  });

  it('equals JavaScript on any expression', () => {
    const factor = fc.oneof(fc.nat(20).map(String), fc.constantFrom('past', 'tokens', 'rows'));
    const product = fc.array(factor, { minLength: 1, maxLength: 4 }).map((factors) => factors.join(' * '));
    const sum = fc.array(product, { minLength: 1, maxLength: 4 }).map((products) => products.join(' + '));
    fc.assert(
      fc.property(sum, (axis) => {
        const inNumbers = axis.replaceAll(/[a-z]+/g, (name) => `${sizes.get(name)}`);
        const expected = inNumbers
          .split('+')
          .map((part) => part.split('*').reduce((value, text) => value * Number(text), 1))
          .reduce((value, part) => value + part, 0);
        expect(evaluateAxis(parseAxis(axis), sizes)).toBe(expected);
      }),
    );
  });

  it('says which name has no size', () => {
    expect(() => evaluateAxis(parseAxis('past + words'), sizes)).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: evaluateAxis: the axis 'words' has no size; the axes with sizes are: past, tokens, rows. Give the size of 'words' too.]`,
    );
  });
});

describe('bindAxes', () => {
  it('finds names that stand alone and names that are the only unknown', () => {
    const found = bindAxes(
      [
        { name: 'mask', axes: ['batch', 'past + tokens'], shape: [2, 9] },
        { name: 'positions', axes: ['1 + rows * columns', 8], shape: [13, 8] },
        { name: 'images', axes: ['batch', '14 * rows', 3], shape: [2, 56, 3] },
        { name: 'ids', axes: ['batch', 'tokens'], shape: [2, 4] },
      ],
      'decoder',
    );
    expect(Object.fromEntries(found)).toEqual({ batch: 2, past: 5, tokens: 4, rows: 4, columns: 3 });
  });

  it('accepts an empty cache', () => {
    const keys = { name: 'keys', axes: ['batch', 'past'], shape: [2, 0] };
    expect(bindAxes([keys], 'decoder').get('past')).toBe(0);
  });

  it('finds the sizes that made the shapes', () => {
    const specs = [
      ['batch', 'past + 3 * tokens'],
      ['tokens', '14 * rows'],
      [5, '1 + rows * columns'],
    ];
    const size = fc.integer({ min: 1, max: 50 });
    fc.assert(
      fc.property(fc.record({ batch: size, past: fc.nat(50), tokens: size, rows: size, columns: size }), (wanted) => {
        const known = new Map(Object.entries(wanted));
        const inputs = specs.map((axes, index) => ({
          name: `${index}`,
          axes,
          shape: axes.map((axis) => evaluateAxis(parseAxis(axis), known)),
        }));
        expect(Object.fromEntries(bindAxes(inputs, 'test'))).toEqual(wanted);
      }),
    );
  });

  it('names the input and the axis that do not fit', () => {
    const ids = { name: 'ids', axes: ['batch', 'tokens'], shape: [2, 4] };
    const run = (name: string, axes: (string | number)[], shape: number[]) => (): unknown =>
      bindAxes([ids, { name, axes, shape }], 'decoder');
    expect(run('mask', ['batch', 'past + tokens', 1], [2, 9])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: mask is [2, 9], expected [batch, past + tokens, 1]: expected 3 axes, not 2. Pass inputs whose sizes go together.]`,
    );
    expect(run('mask', ['batch', 'tokens'], [3, 4])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: mask is [3, 4], expected [batch, tokens]: axis 0 is 3, expected 2, the size of batch elsewhere. Pass inputs whose sizes go together.]`,
    );
    expect(run('mask', ['batch', 'past + tokens'], [2, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: mask is [2, 3], expected [batch, past + tokens]: axis 1 is 3, and no whole past makes past + tokens that size. Pass inputs whose sizes go together.]`,
    );
    expect(run('images', ['batch', '14 * rows', 3], [2, 30, 3])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: images is [2, 30, 3], expected [batch, 14 * rows, 3]: axis 1 is 30, and no whole rows makes 14 * rows that size. Pass inputs whose sizes go together.]`,
    );
    expect(run('images', ['batch', 3], [2, 4])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: images is [2, 4], expected [batch, 3]: axis 1 is 4, expected 3. Pass inputs whose sizes go together.]`,
    );
    expect(run('mask', [2, '2 * tokens'], [2, 9])).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: decoder: mask is [2, 9], expected [2, 2 * tokens]: axis 1 is 9, expected 8, because 2 * tokens with tokens 4 is that. Pass inputs whose sizes go together.]`,
    );
    expect(run('mask', ['batch', 'tokens'], [3, 4])).toThrow(ShapeError);
  });

  it('says which name the inputs leave open', () => {
    const square = { name: 'patches', axes: ['batch', 'rows * columns'], shape: [2, 16] };
    expect(() => bindAxes([square], 'encoder')).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: encoder: axis 1 of patches is 16 (rows * columns), from which rows and columns cannot be found, nor from another axis. Declare an input in which each name is the only unknown of an axis.]`,
    );
  });
});
