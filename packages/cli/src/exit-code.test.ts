import {
  CheckpointError,
  ConfigError,
  DatasetError,
  DisposedError,
  DownloadError,
  ImageError,
  InputError,
  ResourceError,
  ShapeError,
  WeightsError,
} from '@blip2/core';
import { expect, it } from 'vitest';
import { describeError, exitCodeOf } from './exit-code.ts';

it.each<[Error, number]>([
  [new InputError('x'), 2],
  [new ImageError('x'), 2],
  [new ConfigError('x'), 2],
  [new WeightsError('x'), 2],
  [new CheckpointError('x', 'file'), 2],
  [new DatasetError('x', 'file'), 2],
  [new ResourceError('x'), 2],
  [new DownloadError('not found', 'url', 404), 2],
  [new DownloadError('not in the cache, and offline', 'url'), 2],
  [new DownloadError('the line broke', 'url', undefined, { cause: new Error('ECONNRESET') }), 1],
  [new DownloadError('the server failed', 'url', 503), 1],
  [new ShapeError('x', [], []), 1],
  [new DisposedError('x'), 1],
  [new Error('a bug'), 1],
  [new DOMException('stop', 'AbortError'), 130],
])('%s', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

it('shows a stack only for errors that are not ours', () => {
  expect(describeError(new InputError('Ask something.'))).toBe('Ask something.');
  expect(describeError(new Error('a bug'))).toMatch(/Error: a bug\n\s+at /);
  expect(describeError(new DOMException('stop', 'AbortError'))).toBe('Interrupted.');
});
