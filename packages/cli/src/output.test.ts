import { expect, it } from 'vitest';
import { createOutput, progressListener, type Streams } from './output.ts';

function record(isTTY: boolean): { streams: Streams; out: string[]; error: string[] } {
  const out: string[] = [];
  const error: string[] = [];
  const streams = {
    out: { write: (text: string) => out.push(text) },
    error: { isTTY, columns: 40, write: (text: string) => error.push(text) },
  };
  return { streams, out, error };
}

it('keeps results and remarks apart, and draws no progress where nobody looks', () => {
  const { streams, out, error } = record(false);
  const output = createOutput(streams, true);
  output.progress('loading', 0.5);
  output.note('a remark');
  output.result({ image: 'a.jpg', score: undefined }, 'text');
  expect(out).toEqual(['{"image":"a.jpg"}\n']);
  expect(error).toEqual(['a remark\n']);
});

it('draws one line on a terminal, no wider than it, and takes it away before anything else is written', () => {
  const { streams, out, error } = record(true);
  const output = createOutput(streams, false);
  const listener = progressListener(output);
  listener({ phase: 'load', part: 'vision encoder', loadedBytes: 1, totalBytes: 4 });
  output.result({}, 'a dog');
  expect(error).toEqual(['\r\u001B[K██████░░░░░░░░░░░░░░░░░░  25 % loading ', '\r\u001B[K']);
  expect(out).toEqual(['a dog\n']);
});
