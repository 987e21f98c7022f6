import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError, DownloadError, InputError, type Progress } from '@blip2/core';
import { describe, expect, test, vi } from 'vitest';
import { blobIdOf } from './hub-test-server.ts';
import { checkProgress, failure, FILES, ID, useHub, WANTED, WEIGHTS } from './hub-test-support.ts';
import { resolveRepository } from './resolve-repository.ts';

const context = useHub();
const { resolve, repositoryFolder, plain } = context;

describe('layout of the cache', () => {
  test('files are named by their etags and seen through relative links', async () => {
    const { commit, files } = context.hub.add(ID, FILES);
    const folder = await resolve();
    expect(folder).toBe(join(repositoryFolder(), 'snapshots', commit));
    expect((await readdir(folder)).toSorted()).toEqual(WANTED);
    for (const name of WANTED) {
      const blobId = blobIdOf(files.get(name)!);
      expect(await readlink(join(folder, name))).toBe(`../../blobs/${blobId}`);
      expect(await readFile(join(folder, name))).toEqual(files.get(name)!.content);
      expect((await lstat(join(repositoryFolder(), 'blobs', blobId))).isFile()).toBe(true);
    }
    expect(await readFile(join(repositoryFolder(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect(await readdir(join(repositoryFolder(), 'refs'))).toEqual(['main']);
    expect(await readdir(join(repositoryFolder(), 'blobs'))).toHaveLength(WANTED.length);
  });

  test('a second call asks only what the branch stands for', async () => {
    context.hub.add(ID, FILES);
    const first = await resolve();
    context.hub.requests.length = 0;
    expect(await resolve()).toBe(first);
    expect(context.hub.requests.map(({ path }) => path)).toEqual([`/api/models/${ID}/revision/main`]);
  });

  test('a commit that is complete needs no request, by option and by id', async () => {
    const { commit } = context.hub.add(ID, FILES);
    const first = await resolve({ revision: commit });
    expect(await readdir(repositoryFolder())).not.toContain('refs');
    context.hub.requests.length = 0;
    expect(await resolve({ revision: commit })).toBe(first);
    expect(await resolve({}, `${ID}@${commit}`)).toBe(first);
    expect(context.hub.requests).toEqual([]);
  });

  test('a moved branch fetches changed files only', async () => {
    context.hub.add(ID, FILES);
    const old = await resolve();
    const { commit } = context.hub.add(ID, { ...FILES, 'config.json': '{"model_type":"blip-2","new":true}' });
    context.hub.requests.length = 0;
    const folder = await resolve();
    expect(folder).not.toBe(old);
    expect(context.hub.requests.filter(({ path }) => path.includes('/resolve/')).map(({ path }) => path)).toEqual([
      `/${ID}/resolve/${commit}/config.json`,
    ]);
    expect(await readFile(join(repositoryFolder(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
  });

  test('a file list of several pages is read to its end', async () => {
    context.hub.pageSize = 2;
    context.hub.add(ID, FILES);
    expect((await readdir(await resolve())).toSorted()).toEqual(WANTED);
    expect(context.hub.requests.filter(({ path }) => path.includes('/tree/'))).toHaveLength(4);
  });

  test('include takes patterns and functions; folders are made', async () => {
    context.hub.add(ID, FILES);
    const folder = await resolve({ include: ['onnx/*', '*.md'] });
    expect((await readdir(folder)).toSorted()).toEqual(['README.md', 'onnx']);
    expect(await readlink(join(folder, 'onnx/model.onnx'))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    await resolve({ include: (path) => path === 'tokenizer.json' });
    expect(await readdir(folder)).toContain('tokenizer.json');
  });

  test('equal content under two names is fetched once', async () => {
    context.hub.add(ID, { 'config.json': '{}', 'a.safetensors': WEIGHTS, 'b.safetensors': WEIGHTS });
    const progress: Progress[] = [];
    const folder = await resolve({ onProgress: (event) => void progress.push(event) });
    expect(context.hub.requests.filter(({ origin }) => origin === 'content')).toHaveLength(1);
    expect(await readFile(join(folder, 'b.safetensors'))).toEqual(WEIGHTS);
    expect(progress.at(-1)).toMatchObject({ loadedBytes: 800_002, totalBytes: 800_002 });
  });

  test('without symbolic links the snapshot has the files themselves', async () => {
    vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1');
    context.hub.add(ID, FILES);
    const folder = await resolve();
    expect((await lstat(join(folder, 'model.safetensors'))).isFile()).toBe(true);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    context.hub.requests.length = 0;
    await resolve();
    expect(context.hub.requests).toHaveLength(1);
  });

  test('a blob that lost bytes is fetched anew', async () => {
    const { files } = context.hub.add(ID, FILES);
    const folder = await resolve();
    await truncate(join(repositoryFolder(), 'blobs', blobIdOf(files.get('model.safetensors')!)), 10);
    await resolve();
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
  });

  test('the cache folder comes from the environment', async () => {
    context.hub.add(ID, FILES);
    vi.stubEnv('HF_ENDPOINT', `${context.hub.endpoint}/`);
    vi.stubEnv('HF_HUB_CACHE', join(context.cacheFolder, 'named'));
    expect(await resolveRepository(ID)).toContain(join(context.cacheFolder, 'named', 'models--Org--blip2-tiny', 'snapshots'));
  });

  test('an official repository on another endpoint follows main', async () => {
    const { commit } = context.hub.add('Salesforce/blip2-opt-2.7b', FILES);
    expect(await resolve({}, 'Salesforce/blip2-opt-2.7b')).toContain(commit);
  });
});

describe('progress', () => {
  test('is monotone, has a constant total and ends complete', async () => {
    context.hub.add(ID, FILES);
    const events: Progress[] = [];
    await resolve({ onProgress: (event) => void events.push(event) });
    checkProgress(events);
    expect(events.length).toBeGreaterThan(WANTED.length);
    expect(new Set(events.map(({ part }) => part))).toEqual(new Set(WANTED));
    const again: Progress[] = [];
    await resolve({ onProgress: (event) => void again.push(event) });
    checkProgress(again);
    const offline: Progress[] = [];
    await resolve({ offline: true, onProgress: (event) => void offline.push(event) });
    checkProgress(offline);
    expect(offline.at(-1)!.totalBytes).toBe(events.at(-1)!.totalBytes);
  });
});

describe('offline', () => {
  test('uses the cache and no network', async () => {
    context.hub.add(ID, FILES);
    const folder = await resolve();
    context.hub.requests.length = 0;
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolve()).toBe(folder);
    expect(context.hub.requests).toEqual([]);
  });

  test('an empty cache is an error that says what to do', async () => {
    const error = await failure(resolve({ offline: true }));
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: the network is switched off and the cache <cache> has nothing of Org/blip2-tiny at 'main'; expected a complete snapshot. Run once without HF_HUB_OFFLINE and with offline: false, or point HF_HUB_CACHE to a cache that has it."`,
    );
  });

  test('an incomplete snapshot is not used', async () => {
    context.hub.add(ID, FILES);
    await resolve({ include: ['*.json', '*.txt'] });
    const error = await failure(resolve({ offline: true }));
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: the network is switched off and the cache <cache> lacks model.safetensors of Org/blip2-tiny at 'main'; expected a complete snapshot. Run once without HF_HUB_OFFLINE and with offline: false, or point HF_HUB_CACHE to a cache that has it."`,
    );
  });

  test('a snapshot that another program made is judged by its index of shards', async () => {
    const commit = 'a'.repeat(40);
    const folder = join(repositoryFolder(), 'snapshots', commit);
    await mkdir(folder, { recursive: true });
    await mkdir(join(repositoryFolder(), 'refs'));
    await writeFile(join(repositoryFolder(), 'refs', 'main'), commit);
    await writeFile(join(folder, 'config.json'), '{}');
    const shards = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: shards }));
    await writeFile(join(folder, shards.a), 'x');
    expect(plain(await failure(resolve({ offline: true })))).toContain('lacks model-00002-of-00002.safetensors');
    await writeFile(join(folder, shards.b), 'y');
    expect(await resolve({ offline: true })).toBe(folder);
    await rm(join(folder, shards.b));
    await symlink('../../blobs/gone', join(folder, shards.b));
    expect(plain(await failure(resolve({ offline: true })))).toContain('lacks model-00002-of-00002.safetensors');
  });

  test('an official repository falls back from its pinned commit to main', async () => {
    context.hub.add('Salesforce/blip2-opt-2.7b', FILES);
    const folder = await resolve({}, 'Salesforce/blip2-opt-2.7b');
    expect(await resolve({ offline: true }, 'Salesforce/blip2-opt-2.7b')).toBe(folder);
  });

  test('a Hub that cannot be reached is replaced by a complete snapshot, with a warning', async () => {
    context.hub.add(ID, FILES);
    const folder = await resolve();
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    context.hub.interfere = (_request, response) => Boolean(response.destroy());
    try {
      expect(await resolve()).toBe(folder);
      expect(warn).toHaveBeenCalledOnce();
      expect(String(warn.mock.calls[0]![0])).toContain(`Using ${folder} from the cache instead.`);
      await rm(join(folder, 'model.safetensors'));
      expect(DownloadError.isInstance(await failure(resolve()))).toBe(true);
    } finally {
      warn.mockRestore();
    }
  });
});

describe('arguments', () => {
  test.each(['', '../etc', 'a/b/c', 'Org/..', '/abs/path', './x', 'Org/na me', 'a--b', 'Org/x.git', 'Org/.x', 'C:\\x'])(
    'refuses the id %j',
    async (id) => {
      expect(InputError.isInstance(await failure(resolve({}, id)))).toBe(true);
      expect(context.hub.requests).toEqual([]);
    },
  );

  test.each(['', '..', '../../x', 'a//b', '/x', 'a\0b', '-x', 'a/../b', '.hidden'])(
    'refuses the revision %j',
    async (revision) => {
      expect(InputError.isInstance(await failure(resolve({ revision })))).toBe(true);
      expect(InputError.isInstance(await failure(resolve({}, `${ID}@${revision}`)))).toBe(true);
    },
  );

  test('a branch name may have folders', async () => {
    context.hub.interfere = (request, response) =>
      request.path.endsWith('/revision/refs/pr/3') && Boolean(response.writeHead(200).end(JSON.stringify({ sha: commit })));
    const { commit } = context.hub.add(ID, FILES);
    await resolve({ revision: 'refs/pr/3' });
    expect(await readFile(join(repositoryFolder(), 'refs', 'refs/pr/3'), 'utf8')).toBe(commit);
  });

  test('messages', async () => {
    expect(plain(await failure(resolve({}, 'no id')))).toMatchInlineSnapshot(
      `"resolveRepository: "no id" is not a repository id; expected 'Organisation/name' of letters, digits, '-', '_' and '.', such as 'Salesforce/blip2-opt-2.7b'. For a folder on this machine, open it by its path instead."`,
    );
    expect(plain(await failure(resolve({ endpoint: 'ftp://hub' })))).toMatchInlineSnapshot(
      `"resolveRepository: the Hub endpoint is "ftp://hub"; expected an http or https address such as https://huggingface.co. Correct HF_ENDPOINT or the option 'endpoint'; a token belongs into HF_TOKEN."`,
    );
    const secret = await failure(resolve({ endpoint: 'https://user:pass@hub' }));
    expect(ConfigError.isInstance(secret)).toBe(true);
    expect(secret.message).not.toContain('pass@');
    const token = await failure(resolve({ token: 'hf_secret\nX: y' }));
    expect(ConfigError.isInstance(token)).toBe(true);
    expect(token.message).not.toContain('hf_secret');
  });
});
