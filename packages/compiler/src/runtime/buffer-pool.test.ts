import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BufferPool, classOf } from './buffer-pool.ts';

describe('classes of sizes', () => {
  it('hold what is asked for, and are at most a quarter larger, from small sizes on', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 42 }), (bytes) => {
        const size = classOf(bytes);
        expect(size).toBeGreaterThanOrEqual(bytes);
        expect(size).toBeLessThanOrEqual(1.25 * bytes + 64);
        expect(classOf(size)).toBe(size);
        expect(size % 64).toBe(0);
      }),
    );
    expect([0, 1, 64, 65, 640e6].map(classOf)).toMatchInlineSnapshot(`
      [
        0,
        64,
        64,
        128,
        759645440,
      ]
    `);
  });
});

describe('a pool', () => {
  it('gives a buffer to one owner at a time, and never keeps more than it may', () => {
    const command = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 5000 }) }),
      fc.record({ give: fc.nat() }),
      fc.constant({ clear: true }),
    );
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 100, size: 'max' }),
        fc.integer({ min: 0, max: 10_000 }),
        (commands, maxBytes) => {
          const pool = new BufferPool(maxBytes);
          const owned = new Set<ArrayBuffer>();
          for (const one of commands) {
            if ('take' in one) {
              const buffer = pool.take(one.take);
              expect(buffer.byteLength).toBeGreaterThanOrEqual(one.take);
              expect(owned.has(buffer)).toBe(false);
              owned.add(buffer);
            } else if ('give' in one && owned.size > 0) {
              const buffer = [...owned][one.give % owned.size]!;
              owned.delete(buffer);
              pool.give(buffer);
            } else if ('clear' in one) pool.clear();
            expect(pool.freeBytes).toBeLessThanOrEqual(maxBytes);
            for (const buffer of owned) expect(buffer.detached).toBe(false);
          }
        },
      ),
    );
  });

  it('reuses buffers of a cache that grows by one row a step', () => {
    const pool = new BufferPool(1e9);
    const buffers = new Set<ArrayBuffer>();
    let cache = pool.take(1);
    for (let length = 1; length <= 1000; length++) {
      const grown = pool.take(length * 2560 * 4);
      buffers.add(grown);
      pool.give(cache);
      cache = grown;
    }
    expect(buffers.size).toBeLessThan(60); // instead of 1000
  });

  it('frees what was unused longest, and what was not its own', () => {
    const pool = new BufferPool(1024);
    const [first, second] = [pool.take(640), pool.take(640)];
    pool.give(first);
    pool.give(second);
    expect([first.detached, second.detached, pool.take(640)]).toEqual([true, false, second]);
    const foreign = new ArrayBuffer(100);
    pool.give(foreign);
    expect([foreign.detached, pool.freeBytes]).toEqual([true, 0]);
    pool.give(new ArrayBuffer(0));
    pool.give(second);
    pool.clear();
    expect([second.detached, pool.freeBytes]).toEqual([true, 0]);
  });
});
