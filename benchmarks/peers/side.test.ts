import { describe, expect, it } from 'vitest';
import { scripted } from './__fixtures__/scripted.ts';
import { startSide } from './side.ts';

describe('a side', () => {
  it('loads, runs and ends when told', async () => {
    const { command, task } = scripted('ours', [7, 8]);
    const side = startSide(command);
    expect(await side.load(task)).toEqual({ runtime: 'Scripted 1.0', libraries: { scripts: '2.0' }, threads: 2 });
    expect(await side.ask({ command: 'run' })).toEqual({ ms: 7, values: { runs: 1 } });
    expect(await side.ask({ command: 'run' })).toEqual({ ms: 8, values: { runs: 2 } });
    expect(await side.ask({ command: 'memory' })).toEqual({ peakBytes: 1e9 });
    await side.quit();
    await side.quit(); // twice is once
  });

  it('goes on after a request that failed', async () => {
    const { command, task } = scripted('ours', ['fail', 5]);
    await using side = startSide(command);
    await side.load(task);
    await expect(side.ask({ command: 'run' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ResourceError: ours: could not run: out of patience, expected an answer. Correct that and start again.]`,
    );
    expect(await side.ask({ command: 'run' })).toMatchObject({ ms: 5 });
  });

  it('answers one request at a time', async () => {
    const { command, task } = scripted('ours', [1]);
    await using side = startSide(command);
    const loading = side.load(task);
    await expect(side.ask({ command: 'run' })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: ours: asked to run while it is busy. Wait for one answer before the next request.]`,
    );
    await loading;
  });

  it('tells how its process ended', async () => {
    const { command, task } = scripted('ours', ['exit']);
    await using side = startSide(command);
    await side.load(task);
    await expect(side.ask({ command: 'run' })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [ResourceError: ours: could not run: its process ended (exit code 3), expected an answer. Its last words, which say what to correct:
      something broke]
    `);
  });

  it('tells that its program is not there', async () => {
    await using side = startSide({ name: 'PyTorch', program: 'no-such-interpreter', args: [] });
    await expect(side.load(scripted('ours', []).task)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [ResourceError: PyTorch: could not load: its process ended (exit code -2), expected an answer. Its last words, which say what to correct:
      spawn no-such-interpreter ENOENT]
    `);
  });
});
