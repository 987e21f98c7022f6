import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Progress, ResourceError } from '@blip2/core';
import { describe, expect, test } from 'vitest';
import { cacheProblem } from './file-system-errors.ts';
import { type SeenRequest, sendFile, sendThenCut } from './hub-test-server.ts';
import { checkProgress, failure, FILES, ID, useHub, WEIGHTS, WEIGHTS_ID } from './hub-test-support.ts';

const context = useHub();
const { resolve, blobs, partialWith, plain, repositoryFolder } = context;
const BLOB = WEIGHTS_ID;

function contentRequests(): readonly SeenRequest[] {
  return context.hub.requests.filter(({ origin }) => origin === 'content');
}

/** Sends the first half of the weights and then nothing, and says when that has happened. */
function stallHalfway(): Promise<void> {
  return new Promise((halfway) => {
    context.hub.interfere = (request, response) => {
      if (request.origin !== 'content') return false;
      response.writeHead(200, { 'content-length': WEIGHTS.length, etag: `"${BLOB}"` });
      response.write(WEIGHTS.subarray(0, 200_000), () => halfway());
      return true;
    };
  });
}

/** Another process that resolves the repository and prints the folder. */
function runChild(): { kill(): void; result: Promise<string> } {
  const entry = pathToFileURL(join(import.meta.dirname, 'index.ts')).href;
  const options = JSON.stringify({ cacheFolder: context.cacheFolder, endpoint: context.hub.endpoint });
  const script = `const { resolveRepository } = await import(${JSON.stringify(entry)});
    process.stdout.write(await resolveRepository(${JSON.stringify(ID)}, ${options}));`;
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const result = (async () => {
    let output = '';
    for await (const chunk of child.stdout) output += String(chunk);
    return output;
  })();
  return { kill: () => void child.kill('SIGKILL'), result };
}

describe('abort', () => {
  test('in the middle rejects with the reason itself and keeps what has arrived', async () => {
    context.hub.add(ID, FILES);
    const halfway = stallHalfway();
    const controller = new AbortController();
    const running = failure(resolve({ abortSignal: controller.signal }));
    await halfway;
    await partialWith(200_000);
    controller.abort();
    const error = await running;
    expect(error).toBe(controller.signal.reason);
    expect(error.name).toBe('AbortError');
    expect(await blobs()).not.toContain(BLOB);
    expect(await readdir(join(repositoryFolder(), 'snapshots'))).toEqual([]);
    expect(await readdir(join(context.cacheFolder, '.locks', 'models--Org--blip2-tiny'))).toEqual([]);

    context.hub.interfere = undefined;
    context.hub.requests.length = 0;
    const events: Progress[] = [];
    const folder = await resolve({ onProgress: (event) => void events.push(event) });
    expect(contentRequests().map(({ headers }) => headers.range)).toEqual(['bytes=200000-']);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(await blobs()).toHaveLength(4);
    checkProgress(events);
  });

  test('with a reason of its own', async () => {
    context.hub.add(ID, FILES);
    const reason = new Error('enough');
    const controller = new AbortController();
    const halfway = stallHalfway();
    const running = failure(resolve({ abortSignal: controller.signal }));
    await halfway;
    controller.abort(reason);
    expect(await running).toBe(reason);
  });

  test('before the start asks nothing', async () => {
    expect((await failure(resolve({ abortSignal: AbortSignal.abort() }))).name).toBe('AbortError');
    expect(context.hub.requests).toEqual([]);
    expect(await readdir(context.cacheFolder)).toEqual([]);
  });

  test('during a pause between two tries', async () => {
    context.hub.add(ID, FILES);
    const controller = new AbortController();
    context.hub.interfere = (_request, response) => {
      response.writeHead(429, { 'retry-after': '2' }).end();
      setTimeout(() => controller.abort(), 20);
      return true;
    };
    const started = performance.now();
    expect((await failure(resolve({ abortSignal: controller.signal }))).name).toBe('AbortError');
    expect(performance.now() - started).toBeLessThan(1500);
  });

  test('a listener that throws ends the call with its error', async () => {
    context.hub.add(ID, FILES);
    const error = new Error('listener');
    const onProgress = (): void => {
      throw error;
    };
    expect(await failure(resolve({ onProgress }))).toBe(error);
    await resolve();
  });
});

describe('several at once', () => {
  test('two calls in one process fetch each file once', async () => {
    context.hub.add(ID, FILES);
    const events: [Progress[], Progress[]] = [[], []];
    const folders = await Promise.all(events.map((list) => resolve({ onProgress: (event) => void list.push(event) })));
    expect(folders[0]).toBe(folders[1]);
    expect(contentRequests()).toHaveLength(1);
    events.forEach(checkProgress);
    expect(await blobs()).toHaveLength(4);
  });

  test('two processes fetch each file once', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = (request, response, file) => {
      if (request.origin !== 'content') return false;
      // Slow enough for the other process to come.
      setTimeout(() => sendFile(request, response, file!.content, `"${BLOB}"`), 300);
      return true;
    };
    const [one, two] = await Promise.all([runChild().result, runChild().result]);
    expect(one).toContain('snapshots');
    expect(one).toBe(two);
    expect(contentRequests()).toHaveLength(1);
    expect(await readFile(join(one, 'model.safetensors'))).toEqual(WEIGHTS);
  });

  test('one that waits for the other can be aborted, and takes over when the other fails', async () => {
    context.hub.add(ID, FILES);
    const halfway = stallHalfway();
    const first = new AbortController();
    const second = new AbortController();
    const firstResult = failure(resolve({ abortSignal: first.signal }));
    await halfway;
    await partialWith(200_000);
    const secondResult = failure(resolve({ abortSignal: second.signal }));
    const third = resolve();
    await expect.poll(() => context.hub.requests.filter(({ path }) => path.includes('/revision/')).length).toBe(3);
    second.abort();
    expect((await secondResult).name).toBe('AbortError');
    context.hub.interfere = undefined;
    first.abort();
    expect((await firstResult).name).toBe('AbortError');
    expect(await readFile(join(await third, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(contentRequests().map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=200000-']);
  });
});

describe('after a crash', () => {
  test('a killed process blocks nobody and its partial file is continued', async () => {
    context.hub.add(ID, FILES);
    const locks = join(context.cacheFolder, '.locks', 'models--Org--blip2-tiny');
    const halfway = stallHalfway();
    const child = runChild();
    await halfway;
    await partialWith(200_000);
    // The small files are done by then.
    await expect.poll(() => readdir(locks), { interval: 5 }).toEqual([`${BLOB}.blip2.lock`]);
    child.kill();
    await child.result;
    expect((await failure(resolve({ offline: true }))).message).toContain('has nothing');

    context.hub.interfere = undefined;
    context.hub.requests.length = 0;
    const folder = await resolve();
    expect(contentRequests().map(({ headers }) => headers.range)).toEqual(['bytes=200000-']);
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(await readdir(locks)).toEqual([]);
  });

  test('of several partial files the longest is continued and the others go', async () => {
    context.hub.add(ID, FILES);
    await mkdir(join(repositoryFolder(), 'blobs'), { recursive: true });
    for (const [index, bytes] of [1000, 50_000, 3].entries()) {
      await writeFile(join(repositoryFolder(), 'blobs', `${BLOB}.blip2-0000000${index}.incomplete`), WEIGHTS.subarray(0, bytes));
    }
    // Of huggingface_hub, and perhaps in use: left alone.
    await writeFile(join(repositoryFolder(), 'blobs', `${BLOB}.incomplete`), 'x');
    await resolve();
    expect(contentRequests().map(({ headers }) => headers.range)).toEqual(['bytes=50000-']);
    expect((await blobs()).filter((name) => name.includes('incomplete'))).toEqual([`${BLOB}.incomplete`]);
  });

  test('a partial file that has everything needs no request', async () => {
    context.hub.add(ID, FILES);
    await mkdir(join(repositoryFolder(), 'blobs'), { recursive: true });
    await writeFile(join(repositoryFolder(), 'blobs', `${BLOB}.blip2-00000000.incomplete`), WEIGHTS);
    expect(await readFile(join(await resolve(), 'model.safetensors'))).toEqual(WEIGHTS);
    expect(contentRequests()).toEqual([]);
  });

  test('a lock whose process is gone is taken over at once', async () => {
    context.hub.add(ID, FILES);
    const gone = Number(execFileSync(process.execPath, ['-p', 'process.pid']).toString());
    const locks = join(context.cacheFolder, '.locks', 'models--Org--blip2-tiny');
    await mkdir(locks, { recursive: true });
    await writeFile(join(locks, `${BLOB}.blip2.lock`), JSON.stringify({ process: gone, host: hostname(), id: 'x' }));
    const started = performance.now();
    await resolve();
    expect(performance.now() - started).toBeLessThan(5000);
    expect(await readdir(locks)).toEqual([]);
  });
});

describe('disks', () => {
  test('a read-only cache serves what it has', async () => {
    context.hub.add(ID, FILES);
    const folder = await resolve({ revision: 'main' });
    await asOrdinaryUser(async () => expect(await resolve()).toBe(folder));
    await rm(join(repositoryFolder(), 'refs', 'main'));
    await asOrdinaryUser(async () => expect(await resolve()).toBe(folder));
  });

  test('a read-only cache that lacks files is an error that says so', async () => {
    context.hub.add(ID, FILES);
    await asOrdinaryUser(async () => {
      const error = await failure(resolve());
      expect(ResourceError.isInstance(error)).toBe(true);
      expect(plain(error)).toMatchInlineSnapshot(
        `"resolveRepository: writing 4 files (400.04 kB) of Org/blip2-tiny in the cache <cache> failed: the folder cannot be written (EACCES); expected a writable folder, because files are still missing. Change its permissions, or name another folder in HF_HUB_CACHE or cacheFolder."`,
      );
    });
    expect(contentRequests()).toEqual([]);
  });

  test('a file where a folder belongs', async () => {
    context.hub.add(ID, FILES);
    await writeFile(repositoryFolder(), '');
    const error = await failure(resolve());
    expect(ResourceError.isInstance(error)).toBe(true);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: writing 4 files (400.04 kB) of Org/blip2-tiny in the cache <cache> failed: ENOTDIR: not a directory, mkdir '<cache>/models--Org--blip2-tiny/snapshots'; expected ordinary files and folders in the layout of the Hugging Face cache. Remove what is in the way, or name another folder in HF_HUB_CACHE or cacheFolder."`,
    );
  });

  test.skipIf(!canMount())(
    'a disk that becomes full keeps what has arrived, and the rest follows when there is room',
    async () => {
      const disk = join(context.cacheFolder, 'disk');
      await mkdir(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk]);
      try {
        context.hub.add(ID, FILES);
        let fill: Promise<void> | undefined;
        context.hub.interfere = (request, response, file) => {
          if (request.origin !== 'content') return false;
          // Room was checked before: somebody else takes it while we fetch.
          fill ??= writeFile(join(disk, 'filler'), Buffer.alloc(900_000));
          void fill.then(() => sendFile(request, response, file!.content, `"${BLOB}"`));
          return true;
        };
        const error = await failure(resolve({ cacheFolder: disk }));
        expect(ResourceError.isInstance(error)).toBe(true);
        expect(plain(error)).toMatchInlineSnapshot(
          `"resolveRepository: writing 4 files (400.04 kB) of Org/blip2-tiny in the cache <cache>/disk failed: the disk is full (ENOSPC); expected room for the whole file. Free some space, or name another folder in HF_HUB_CACHE or cacheFolder, and run again: what has arrived is kept and continued."`,
        );
        const names = await readdir(join(disk, 'models--Org--blip2-tiny', 'blobs'));
        expect(names).not.toContain(BLOB);
        expect(names.some((name) => name.startsWith(BLOB) && name.endsWith('.incomplete'))).toBe(true);
        await rm(join(disk, 'filler'));
        context.hub.requests.length = 0;
        context.hub.interfere = undefined;
        const folder = await resolve({ cacheFolder: disk });
        expect(contentRequests()[0]!.headers.range).toMatch(/^bytes=\d+-$/);
        expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
      } finally {
        execFileSync('umount', [disk]);
      }
    },
  );

  test('what each system error says', () => {
    const explain = (code: string): string => {
      const error = Object.assign(new Error(`${code}: something, write`), { code });
      return (cacheProblem(error, 'writing model.safetensors', '/cache') as Error).message;
    };
    expect(explain('ENOSPC')).toMatchInlineSnapshot(
      `"resolveRepository: writing model.safetensors in the cache /cache failed: the disk is full (ENOSPC); expected room for the whole file. Free some space, or name another folder in HF_HUB_CACHE or cacheFolder, and run again: what has arrived is kept and continued."`,
    );
    expect(explain('EDQUOT')).toContain('the disk is full (EDQUOT)');
    expect(explain('EROFS')).toMatchInlineSnapshot(
      `"resolveRepository: writing model.safetensors in the cache /cache failed: the folder cannot be written (EROFS); expected a writable folder, because files are still missing. Change its permissions, or name another folder in HF_HUB_CACHE or cacheFolder."`,
    );
    expect(explain('EIO')).toMatchInlineSnapshot(
      `"resolveRepository: writing model.safetensors in the cache /cache failed: EIO: something, write; expected ordinary files and folders in the layout of the Hugging Face cache. Remove what is in the way, or name another folder in HF_HUB_CACHE or cacheFolder."`,
    );
    const other = new Error('not of the system');
    expect(cacheProblem(other, 'writing', '/cache')).toBe(other);
  });
});

/** Runs with a cache that may be read and not be written; the superuser has to become somebody else for that. */
async function asOrdinaryUser(run: () => Promise<void>): Promise<void> {
  const superuser = process.geteuid?.() === 0;
  const folders = async (mode: number): Promise<void> => {
    const inside = await readdir(context.cacheFolder, { recursive: true, withFileTypes: true });
    for (const entry of inside) if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), mode);
    await chmod(context.cacheFolder, mode);
  };
  await folders(0o555);
  if (superuser) process.seteuid?.(65_534);
  try {
    await run();
  } finally {
    if (superuser) process.seteuid?.(0);
    await folders(0o755);
  }
}

function canMount(): boolean {
  if (process.platform !== 'linux' || process.geteuid?.() !== 0) return false;
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test('a connection that is cut in one run is continued in the next', async () => {
  context.hub.add(ID, FILES);
  let attempts = 0;
  context.hub.interfere = (request, response, file) => {
    if (request.origin !== 'content') return false;
    attempts += 1;
    if (attempts === 1)
      void sendThenCut(request, response, file!.content, { etag: '"x"', bytes: 100_000, received: partialWith });
    else response.destroy();
    return true;
  };
  await failure(resolve());
  context.hub.interfere = undefined;
  context.hub.requests.length = 0;
  await resolve();
  expect(contentRequests().map(({ headers }) => headers.range)).toEqual(['bytes=100000-']);
});
