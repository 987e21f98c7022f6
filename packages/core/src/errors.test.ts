import { describe, expect, it } from 'vitest';
import * as errors from './errors.ts';

const samples = {
  shape: new errors.ShapeError('encode: images is [1], expected [2].', [1], [2]),
  config: new errors.ConfigError('config.json: no model_type.'),
  weights: new errors.WeightsError('missing a', { missing: ['a'], unexpected: ['b'] }),
  checkpoint: new errors.CheckpointError('model.safetensors is cut off.', 'model.safetensors'),
  dataset: new errors.DatasetError('captions.json is broken.', 'captions.json'),
  download: new errors.DownloadError('not found', 'https://example.org/x', 404),
  image: new errors.ImageError('not an image'),
  input: new errors.InputError('the question is empty'),
  disposed: new errors.DisposedError('The vision encoder'),
  backend: new errors.UnsupportedBackendError('no WebGPU here'),
  resources: new errors.ResourceError('12 GB are needed, 4 GB are there'),
  training: new errors.TrainingError('the loss is NaN', { step: 3, names: ['loss'] }),
} as const satisfies Record<errors.ErrorCode, errors.Blip2Error>;

const classes = {
  shape: errors.ShapeError,
  config: errors.ConfigError,
  weights: errors.WeightsError,
  checkpoint: errors.CheckpointError,
  dataset: errors.DatasetError,
  download: errors.DownloadError,
  image: errors.ImageError,
  input: errors.InputError,
  disposed: errors.DisposedError,
  backend: errors.UnsupportedBackendError,
  resources: errors.ResourceError,
  training: errors.TrainingError,
} as const;

describe.each(Object.keys(samples) as errors.ErrorCode[])('the %s error', (code) => {
  const error = samples[code];

  it('is an Error with its code and its name', () => {
    expect(error).toBeInstanceOf(Error);
    expect(error).toBeInstanceOf(errors.Blip2Error);
    expect(error.code).toBe(code);
    expect(error.name).toBe(classes[code].name);
    expect(String(error)).toBe(`${classes[code].name}: ${error.message}`);
  });

  it('is told from all others by isInstance', () => {
    const recognising = Object.entries(classes).filter(([, Class]) => Class.isInstance(error));
    expect(recognising.map(([name]) => name)).toEqual([code]);
    expect(errors.Blip2Error.isInstance(error)).toBe(true);
  });
});

it('isInstance holds for errors of another copy of the package', async () => {
  const copy = (await import(`${'./errors.ts'}?another-copy`)) as typeof errors;
  const foreign = new copy.WeightsError('missing a', { missing: ['a'] });
  expect(foreign).not.toBeInstanceOf(errors.WeightsError);
  expect(errors.WeightsError.isInstance(foreign)).toBe(true);
  expect(errors.Blip2Error.isInstance(foreign)).toBe(true);
  expect(errors.ShapeError.isInstance(foreign)).toBe(false);
  expect(errors.errorCode(foreign)).toBe('weights');
});

it.each([undefined, null, 'text', 7, {}, new Error('plain'), new DOMException('stop', 'AbortError')])(
  'isInstance is false for %o',
  (value) => {
    expect(errors.Blip2Error.isInstance(value)).toBe(false);
    expect(errors.errorCode(value)).toBeUndefined();
  },
);

it('keeps what a program needs to handle it', () => {
  const cause = new Error('socket closed');
  expect(samples.shape).toMatchObject({ actual: [1], expected: [2] });
  expect(samples.weights).toMatchObject({ missing: ['a'], unexpected: ['b'] });
  expect(new errors.WeightsError('text')).toMatchObject({ missing: [], unexpected: [] });
  expect(samples.checkpoint.file).toBe('model.safetensors');
  expect(samples.download).toMatchObject({ url: 'https://example.org/x', status: 404 });
  expect(new errors.DownloadError('cut', 'u', undefined, { cause }).cause).toBe(cause);
  expect(new errors.WeightsError('text', { cause }).cause).toBe(cause);
  expect('cause' in new errors.WeightsError('text')).toBe(false);
  expect(samples.disposed.message).toMatchInlineSnapshot(
    `"The vision encoder was disposed and cannot be used any more. Load it again, or dispose it later."`,
  );
});
