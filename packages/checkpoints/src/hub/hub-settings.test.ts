import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isModelFile } from './file-names.ts';
import { defaultCacheFolder, HUB_ENDPOINT, hubSettings } from './hub-settings.ts';
import { OFFICIAL_REPOSITORIES } from './official-repositories.ts';
import { isCommit, isRepositoryId } from './repository-id.ts';

describe('the environment', () => {
  test.each([
    [{}, join(homedir(), '.cache', 'huggingface', 'hub')],
    [{ XDG_CACHE_HOME: '/xdg' }, '/xdg/huggingface/hub'],
    [{ XDG_CACHE_HOME: '/xdg', HF_HOME: '/home' }, '/home/hub'],
    [{ HF_HOME: '/home', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
    [{ HF_HOME: '/home', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/new' }, '/new'],
    [{ HF_HUB_CACHE: '' }, join(homedir(), '.cache', 'huggingface', 'hub')],
    [{ HF_HUB_CACHE: '~/models' }, join(homedir(), 'models')],
    [{ HF_HUB_CACHE: '$DATA/${PART}/$NONE', DATA: '/data', PART: 'one' }, '/data/one/$NONE'],
  ])('%j names the cache %s', (environment, folder) => {
    expect(defaultCacheFolder(environment)).toBe(folder);
  });

  test('options win over variables', () => {
    const environment = { HF_ENDPOINT: 'http://mirror/hf/', HF_TOKEN: 'hf_env', HF_HUB_OFFLINE: 'yes' };
    expect(hubSettings({}, environment)).toMatchObject({ token: 'hf_env', offline: true });
    expect(hubSettings({}, environment).endpoint.href).toBe('http://mirror/hf');
    const settings = hubSettings({ endpoint: HUB_ENDPOINT, token: 'hf_option', offline: false }, environment);
    expect(settings).toMatchObject({ token: 'hf_option', offline: false });
    expect(settings.endpoint.origin).toBe(HUB_ENDPOINT);
    expect(hubSettings({}, { HF_HUB_OFFLINE: '0', HUGGING_FACE_HUB_TOKEN: 'old' })).toMatchObject({
      token: 'old',
      offline: false,
    });
  });
});

test('the files that a model is loaded from', () => {
  const wanted = [
    'config.json',
    'model.safetensors.index.json',
    'model-00001-of-00002.safetensors',
    'tokenizer.json',
    'vocab.json',
    'vocab.txt',
    'merges.txt',
    'spiece.model',
  ];
  const unwanted = [
    'pytorch_model.bin',
    'pytorch_model.bin.index.json',
    'flax_model.msgpack',
    'flax_model.msgpack.index.json',
    'tf_model.h5',
    'tf_model.h5.index.json',
    'README.md',
    '.gitattributes',
    'onnx/config.json',
    'LICENSE.txt',
  ];
  expect([...wanted, ...unwanted].filter(isModelFile)).toEqual(wanted);
});

test('official repositories are what their ids say', () => {
  const entries = Object.entries(OFFICIAL_REPOSITORIES);
  expect(entries).toHaveLength(9);
  for (const [id, repository] of entries) {
    expect(repository.id).toBe(id);
    expect(isRepositoryId(id)).toBe(true);
    expect(repository.imageSize).toBe(id.endsWith('-coco') ? 364 : 224);
    expect(repository.kind).toBe(id.includes('-itm-') ? 'matching' : 'generation');
    expect(repository.languageModel === undefined).toBe(repository.kind === 'matching');
    expect(repository.revision === undefined || isCommit(repository.revision)).toBe(true);
    expect(repository.approximateSizeBytes).toBeGreaterThan(4e9);
  }
});
