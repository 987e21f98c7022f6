import { expectNoLeak } from '@blip2/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it, vi } from 'vitest';
import { defaultWeightBudget, ParameterBlock, runBlocks, WeightBudget } from './parameters.ts';
import { weightFromValues, type Weight } from './weights.ts';

interface Scale {
  readonly factor: tf.Tensor1D;
}

/** A weight whose reads the test lets through, one at a time, and counts. */
class GatedWeight implements Weight {
  readonly name = 'factor';
  readonly dtype = 'F32';
  readonly shape: readonly number[] = [1];
  reads = 0;
  readonly signals: (AbortSignal | undefined)[] = [];
  #pending: PromiseWithResolvers<Float32Array>[] = [];

  read(options: { readonly abortSignal?: AbortSignal } = {}): Promise<Float32Array> {
    this.reads++;
    this.signals.push(options.abortSignal);
    const pending = Promise.withResolvers<Float32Array>();
    this.#pending.push(pending);
    options.abortSignal?.addEventListener('abort', () => pending.reject(options.abortSignal!.reason as Error));
    return pending.promise;
  }
  rows(): Weight {
    return this;
  }
  deliver(value = 2): void {
    this.#pending.shift()!.resolve(new Float32Array([value]));
  }
  fail(message = 'disk gone'): void {
    this.#pending.shift()!.reject(new Error(message));
  }
}

const EVERYTHING = Number.POSITIVE_INFINITY;
const NOTHING = 0;

/** A block that is resident or streams, and the weight it reads. */
function block(room: number, name = 'block'): { block: ParameterBlock<Scale>; weight: GatedWeight } {
  const weight = new GatedWeight();
  return { block: new ParameterBlock<Scale>(name, { factor: weight }, new WeightBudget(room)), weight };
}

function blockOf(value: number, room: number, name = `×${value}`): ParameterBlock<Scale> {
  const factor = weightFromValues('factor', [1], new Float32Array([value]));
  return new ParameterBlock<Scale>(name, { factor }, new WeightBudget(room));
}

const valueOf = ({ factor }: Scale): number => factor.dataSync()[0]!;

describe('WeightBudget', () => {
  it('gives room until it is full, and takes it back', () => {
    const budget = new WeightBudget(10);
    expect([budget.reserve(6), budget.reserve(5), budget.reserve(4)]).toEqual([true, false, true]);
    expect(budget.reservedBytes).toBe(10);
    budget.release(6);
    expect(budget.reserve(6)).toBe(true);
    budget.release(1000);
    expect(budget.reservedBytes).toBe(0);
  });

  it('stops below the end of the wasm heap only on wasm', () => {
    expect(defaultWeightBudget('wasm')).toBe(2.5 * 2 ** 30);
    expect(defaultWeightBudget('webgpu')).toBe(Number.POSITIVE_INFINITY);
    expect(new WeightBudget().totalBytes).toBe(defaultWeightBudget('wasm'));
  });

  it('decides once a block: what fits stays, what does not streams', () => {
    const budget = new WeightBudget(8);
    const factor = weightFromValues('factor', [1], new Float32Array(1));
    const blocks = [0, 1, 2].map((i) => new ParameterBlock<Scale>(`block ${i}`, { factor }, budget));
    expect(blocks.map((one) => one.resident)).toEqual([true, true, false]);
    expect(blocks[0]!.sizeBytes).toBe(4);
    for (const one of blocks) {
      one.dispose();
      one.dispose();
    }
    expect(budget.reservedBytes).toBe(0);
  });
});

describe('a resident block', () => {
  it('reads once, keeps its tensors, and gives them back on dispose', async () => {
    const { block: one, weight } = block(EVERYTHING);
    await expectNoLeak(async () => {
      const loading = one.load();
      weight.deliver(3);
      await loading;
      expect(await one.use(valueOf)).toBe(3);
      expect(await one.use(async (tree) => valueOf(tree))).toBe(3);
      expect(valueOf(one.tensors)).toBe(3);
      expect(weight.reads).toBe(1);
      one[Symbol.dispose]();
      one.dispose();
      one.dispose();
    });
    await expect(one.use(valueOf)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DisposedError: block was disposed and cannot be used any more. Load it again, or dispose it later.]`,
    );
    expect(() => one.tensors).toThrow(expect.objectContaining({ code: 'disposed' }));
  });

  it('is read once for all who come while it is read', async () => {
    const { block: one, weight } = block(EVERYTHING);
    const users = [one.load(), one.use(valueOf), one.use(valueOf)];
    one.prefetch();
    weight.deliver(5);
    expect(await Promise.all(users)).toEqual([undefined, 5, 5]);
    expect(weight.reads).toBe(1);
    one.dispose();
  });

  it('tries again after a failed read', async () => {
    const { block: one, weight } = block(EVERYTHING);
    await expectNoLeak(async () => {
      const both = [one.load(), one.use(valueOf)];
      weight.fail();
      for (const result of await Promise.allSettled(both)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { message: 'disk gone' } });
      }
      const again = one.use(valueOf);
      weight.deliver(4);
      expect(await again).toBe(4);
      one.dispose();
    });
  });

  it('has no tensors to show before it is loaded', () => {
    const { block: one } = block(EVERYTHING, 'vision encoder, block 3');
    expect(() => one.tensors).toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: vision encoder, block 3 is not in memory yet. Wait for its load() first.]`,
    );
  });

  it('disposed during use lets its tensors go when the use ends', async () => {
    const one = blockOf(6, EVERYTHING);
    await expectNoLeak(async () => {
      const value = await one.use(async (tree) => {
        one.dispose();
        await Promise.resolve();
        return valueOf(tree);
      });
      expect(value).toBe(6);
    });
  });

  it('disposed during its read rejects who waits and keeps nothing', async () => {
    const { block: one, weight } = block(EVERYTHING);
    await expectNoLeak(async () => {
      const using = one.use(valueOf);
      one.dispose();
      weight.deliver();
      await expect(using).rejects.toMatchObject({ code: 'disposed' });
    });
  });
});

describe('a streamed block', () => {
  it('reads before each use and keeps nothing after it', async () => {
    const { block: one, weight } = block(NOTHING);
    await one.load(); // reads nothing
    expect(weight.reads).toBe(0);
    await expectNoLeak(async () => {
      for (const value of [2, 3]) {
        const using = one.use(valueOf);
        weight.deliver(value);
        expect(await using).toBe(value);
      }
    });
    expect(weight.reads).toBe(2);
    expect(() => one.tensors).toThrow(/streams its weights .* larger weight budget/);
  });

  it('serves concurrent uses from one read and lets go after the last', async () => {
    const { block: one, weight } = block(NOTHING);
    await expectNoLeak(async () => {
      const second = Promise.withResolvers<void>();
      const users = [one.use(valueOf), one.use(async (tree) => (await second.promise, valueOf(tree)))];
      weight.deliver(7);
      expect(await users[0]).toBe(7);
      second.resolve();
      expect(await users[1]).toBe(7);
    });
    expect(weight.reads).toBe(1);
  });

  it('lets go also when the computation throws', async () => {
    const one = blockOf(1, NOTHING);
    await expectNoLeak(async () => {
      await expect(one.use(() => Promise.reject(new Error('wrong shape')))).rejects.toThrow('wrong shape');
    });
  });

  it('read ahead is used without another read, or discarded', async () => {
    const { block: one, weight } = block(NOTHING);
    await expectNoLeak(async () => {
      one.prefetch();
      one.prefetch();
      const using = one.use(valueOf);
      weight.deliver(4);
      expect(await using).toBe(4);
      expect(weight.reads).toBe(1);

      one.prefetch();
      one.discardPrefetched();
      expect(weight.signals[1]!.aborted).toBe(true);
      one.prefetch();
      one.dispose();
      one.prefetch();
      expect(weight.reads).toBe(3);
    });
  });

  it('a failed read ahead is reported by the use that follows', async () => {
    const { block: one, weight } = block(NOTHING);
    one.prefetch();
    const using = one.use(valueOf);
    weight.fail();
    await expect(using).rejects.toThrow('disk gone');
    one.prefetch();
    weight.fail(); // nobody waits: no unhandled rejection
    await new Promise((done) => setTimeout(done, 5));
    const again = one.use(valueOf);
    weight.deliver(1);
    expect(await again).toBe(1);
  });
});

describe.each([
  { kind: 'resident', room: EVERYTHING },
  { kind: 'streamed', room: NOTHING },
])('abort of a $kind block', ({ room }) => {
  it('rejects at once and ends the read when nobody else waits', async () => {
    const { block: one, weight } = block(room);
    await expectNoLeak(async () => {
      const controller = new AbortController();
      const using = one.use(valueOf, { abortSignal: controller.signal });
      controller.abort();
      await expect(using).rejects.toBe(controller.signal.reason);
      expect(weight.signals[0]!.aborted).toBe(true);
      one.dispose();
    });
  });

  it('does not touch the others who wait for the same read', async () => {
    const { block: one, weight } = block(room);
    await expectNoLeak(async () => {
      const controller = new AbortController();
      const aborted = one.use(valueOf, { abortSignal: controller.signal });
      const patient = one.use(valueOf);
      controller.abort();
      await expect(aborted).rejects.toBe(controller.signal.reason);
      expect(weight.signals[0]!.aborted).toBe(false);
      weight.deliver(8);
      expect(await patient).toBe(8);
      one.dispose();
    });
  });

  it('does not start with a signal that is already aborted', async () => {
    const one = blockOf(1, room);
    const compute = vi.fn();
    await expectNoLeak(async () => {
      await expect(one.use(compute, { abortSignal: AbortSignal.abort('stop') })).rejects.toBe('stop');
      one.dispose();
    });
    expect(compute).not.toHaveBeenCalled();
  });
});

describe('runBlocks', () => {
  const multiply = ({ factor }: Scale, hidden: tf.Tensor1D): tf.Tensor1D => tf.mul(hidden, factor);

  it.each([
    { kind: 'resident', rooms: [EVERYTHING, EVERYTHING, EVERYTHING] },
    { kind: 'streamed', rooms: [NOTHING, NOTHING, NOTHING] },
    { kind: 'mixed', rooms: [EVERYTHING, NOTHING, EVERYTHING] },
  ])('sends the state through $kind blocks in order', async ({ rooms }) => {
    const blocks = [2, 3, 5].map((value, i) => blockOf(value, rooms[i]!));
    await expectNoLeak(async () => {
      const hidden = tf.tensor1d([1, 10]);
      const indices: number[] = [];
      const result = await runBlocks(blocks, hidden, (params, state, index) => {
        indices.push(index);
        return tf.add(multiply(params, state), index) as tf.Tensor1D;
      });
      expect([...result.dataSync()]).toEqual([((1 * 2 + 0) * 3 + 1) * 5 + 2, ((10 * 2 + 0) * 3 + 1) * 5 + 2]);
      expect(indices).toEqual([0, 1, 2]);
      expect([...hidden.dataSync()]).toEqual([1, 10]);
      tf.dispose([hidden, result]);
      for (const one of blocks) one.dispose();
    });
  });

  it('gives a tensor of its own, also from no blocks and from steps that change nothing', async () => {
    await expectNoLeak(async () => {
      const hidden = tf.tensor1d([4]);
      const results = [
        await runBlocks([] as ParameterBlock<Scale>[], hidden, multiply),
        await runBlocks([blockOf(2, NOTHING), blockOf(3, NOTHING)], hidden, (_, state) => state),
        await runBlocks([blockOf(2, NOTHING), blockOf(3, NOTHING)], hidden, (params, state, index) =>
          index === 0 ? multiply(params, state) : state,
        ),
      ];
      hidden.dispose();
      expect(results.map((result) => result.dataSync()[0])).toEqual([4, 4, 8]);
      tf.dispose(results);
    });
  });

  it('reads the next block while this one computes, and no further', async () => {
    const blocks = [block(NOTHING), block(NOTHING), block(NOTHING)];
    await expectNoLeak(async () => {
      const hidden = tf.tensor1d([1]);
      const reads: number[][] = [];
      const running = runBlocks(
        blocks.map((one) => one.block),
        hidden,
        (params, state) => {
          reads.push(blocks.map((one) => one.weight.reads));
          return multiply(params, state);
        },
      );
      for (const { weight } of blocks) {
        await vi.waitFor(() => expect(weight.reads).toBe(1), { interval: 1 });
        weight.deliver(3);
      }
      const result = await running;
      expect(result.dataSync()[0]).toBe(27);
      expect(reads).toEqual([[1, 1, 0], [1, 1, 1], [1, 1, 1]]); // prettier-ignore
      tf.dispose([hidden, result]);
    });
  });

  it('leaves nothing behind when a step throws, a read fails, or the caller aborts', async () => {
    await expectNoLeak(async () => {
      const hidden = tf.tensor1d([1]);
      const three = (): ParameterBlock<Scale>[] => [2, 3, 5].map((value) => blockOf(value, NOTHING));
      const failing = runBlocks(three(), hidden, (params, state, index) => {
        if (index === 1) throw new Error('no such kernel');
        return multiply(params, state);
      });
      await expect(failing).rejects.toThrow('no such kernel');

      const controller = new AbortController();
      const stopping = runBlocks(
        three(),
        hidden,
        (params, state, index) => {
          if (index === 1) controller.abort();
          return multiply(params, state);
        },
        { abortSignal: controller.signal },
      );
      await expect(stopping).rejects.toMatchObject({ name: 'AbortError' });

      const broken = block(NOTHING);
      const reading = runBlocks([blockOf(2, NOTHING), broken.block, blockOf(5, NOTHING)], hidden, multiply);
      await vi.waitFor(() => expect(broken.weight.reads).toBe(1), { interval: 1 });
      broken.weight.fail();
      await expect(reading).rejects.toThrow('disk gone');
      hidden.dispose();
    });
  });

  it('hears an abort that a timer asks for', async () => {
    const hidden = tf.tensor1d([1]);
    const blocks = Array.from({ length: 200 }, () => blockOf(1, EVERYTHING));
    await expectNoLeak(async () => {
      let steps = 0;
      const slow = (params: Scale, state: tf.Tensor1D): tf.Tensor1D => {
        steps++;
        const until = performance.now() + 5;
        while (performance.now() < until);
        return multiply(params, state);
      };
      await expect(runBlocks(blocks, hidden, slow, { abortSignal: AbortSignal.timeout(30) })).rejects.toThrow(
        expect.objectContaining({ name: 'TimeoutError' }),
      );
      expect(steps).toBeLessThan(100);
      for (const one of blocks) one.dispose();
    });
    hidden.dispose();
  });
});
