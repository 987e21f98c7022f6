import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { nextTurn, ProgressReporter, untilAborted, type Progress } from './abort-and-progress.ts';

describe('ProgressReporter', () => {
  it('is monotone, has one total, and ends complete exactly once, whatever is counted (property)', () => {
    const counts = fc.array(fc.record({ part: fc.string(), bytes: fc.double({ min: -100, max: 500, noNaN: true }) }));
    fc.assert(
      fc.property(fc.nat({ max: 1000 }), counts, (totalBytes, steps) => {
        const events: Progress[] = [];
        const reporter = new ProgressReporter('download', totalBytes, (progress) => events.push(progress));
        for (const { part, bytes } of steps) reporter.add(part, bytes);
        reporter.complete('end');
        reporter.complete('end');
        const loaded = events.map((event) => event.loadedBytes);
        expect(loaded).toEqual(loaded.toSorted((a, b) => a - b));
        expect(events.every((event) => event.totalBytes === totalBytes && event.phase === 'download')).toBe(true);
        expect(loaded.at(-1)).toBe(totalBytes);
        expect(events.length - steps.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('names what is worked on', () => {
    const events: Progress[] = [];
    const reporter = new ProgressReporter('load', 10, (progress) => events.push(progress));
    reporter.add('vision encoder', 4);
    reporter.add('qformer', 100);
    reporter.complete('qformer');
    expect(events).toEqual([
      { phase: 'load', part: 'vision encoder', loadedBytes: 4, totalBytes: 10 },
      { phase: 'load', part: 'qformer', loadedBytes: 10, totalBytes: 10 },
    ]);
  });

  it('needs no listener', () => {
    const reporter = new ProgressReporter('run', 3, undefined);
    reporter.add('x', 3);
    reporter.complete('x');
    expect(reporter.totalBytes).toBe(3);
  });
});

describe('untilAborted', () => {
  it('gives the result and removes its listener', async () => {
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, 'removeEventListener');
    await expect(untilAborted(Promise.resolve(7), signal)).resolves.toBe(7);
    await expect(untilAborted(Promise.reject(new Error('read failed')), signal)).rejects.toThrow('read failed');
    expect(removed).toHaveBeenCalledTimes(2);
    await expect(untilAborted(Promise.resolve(8), undefined)).resolves.toBe(8);
  });

  it('rejects at once with the reason, unwrapped', async () => {
    const controller = new AbortController();
    const waiting = untilAborted(new Promise(() => undefined), controller.signal);
    controller.abort();
    await expect(waiting).rejects.toBe(controller.signal.reason);
    expect(controller.signal.reason.name).toBe('AbortError');
    await expect(untilAborted(Promise.resolve(1), AbortSignal.abort('because'))).rejects.toBe('because');
  });
});

describe('nextTurn', () => {
  it('lets timers run', async () => {
    const fired = vi.fn();
    setTimeout(fired, 0);
    for (let turn = 0; turn < 1000 && fired.mock.calls.length === 0; turn++) await nextTurn();
    expect(fired).toHaveBeenCalledOnce();
  });

  it('works where only messages exist, as in browsers', async () => {
    vi.stubGlobal('setImmediate', undefined);
    try {
      await nextTurn();
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
