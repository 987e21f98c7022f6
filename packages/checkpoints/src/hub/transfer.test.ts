import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerResponse } from 'node:http';
import { DownloadError, type Progress, ResourceError } from '@blip2/core';
import { describe, expect, test, vi } from 'vitest';
import { blobIdOf, type Interference, type SeenRequest, type ServedFile, sendFile, sendThenCut } from './hub-test-server.ts';
import { checkProgress, failure, FILES, ID, useHub, WEIGHTS } from './hub-test-support.ts';
import { retryAfterMs } from './retry.ts';

const context = useHub();
const { resolve, blobs, partialWith, plain, repositoryFolder } = context;

/** Answers the n-th request to the content server, counted from 0, in another way. */
function onContent(
  answer: (attempt: number, request: SeenRequest, response: ServerResponse, file: ServedFile) => boolean,
): Interference {
  let attempt = 0;
  return (request, response, file) =>
    request.origin === 'content' && file !== undefined && answer(attempt++, request, response, file);
}

function contentRequests(): readonly SeenRequest[] {
  return context.hub.requests.filter(({ origin }) => origin === 'content');
}

async function expectDownloaded(folder: string): Promise<void> {
  expect(await readFile(join(folder, 'model.safetensors'))).toEqual(WEIGHTS);
  expect((await blobs()).filter((name) => !/^[0-9a-f]+$/.test(name))).toEqual([]);
}

/** Nothing of the weights is where a later run would read it. */
async function expectNoWeights(): Promise<void> {
  expect(await blobs()).not.toContain(blobIdOf({ content: WEIGHTS, large: true }));
  expect(await readdir(join(repositoryFolder(), 'snapshots')).catch(() => [])).toEqual([]);
  expect(await readdir(join(repositoryFolder(), 'refs')).catch(() => [])).toEqual([]);
}

describe('connections that end early', () => {
  test('a cut is continued where it happened', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, request, response, { content }) => {
      if (attempt > 0) return false;
      void sendThenCut(request, response, content, { etag: '"first"', bytes: 100_000, received: partialWith });
      return true;
    });
    const events: Progress[] = [];
    // The etag of the content server is not the same any more: the range must not be mixed with what is there.
    await expectDownloaded(await resolve({ onProgress: (event) => void events.push(event) }));
    const [, second] = contentRequests();
    expect(second!.headers.range).toMatch(/^bytes=100000-$/);
    expect(second!.headers['if-range']).toBe('"first"');
    expect(contentRequests()).toHaveLength(2);
    checkProgress(events);
  });

  test('many cuts with progress between them are no failure', async () => {
    context.hub.add(ID, FILES);
    const starts: number[] = [];
    context.hub.interfere = onContent((_attempt, request, response, file) => {
      starts.push(Number(/\d+/.exec(request.headers.range ?? '0')?.[0]));
      void sendThenCut(request, response, file.content, { etag: `"${blobIdOf(file)}"`, bytes: 70_000, received: partialWith });
      return true;
    });
    await expectDownloaded(await resolve());
    // More tries than the policy allows without progress, each of them further on.
    expect(starts).toEqual([0, 70_000, 140_000, 210_000, 280_000, 350_000]);
  });

  test('cuts without progress end after a bounded number of tries', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((_attempt, _request, response) => Boolean(response.destroy()));
    const error = await failure(resolve());
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(contentRequests()).toHaveLength(4);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: fetching model.safetensors of Org/blip2-tiny at 'main' from <hub>/Org/blip2-tiny/resolve/<hash>/model.safetensors failed 4 times in a row, last with: other side closed (UND_ERR_SOCKET); expected the complete file. Check the network, the proxy and HF_ENDPOINT and run again: what has arrived is kept. HF_HUB_OFFLINE=1 uses the cache only."`,
    );
    await expectNoWeights();
  });

  test('a body that ends early without a cut counts as cut', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, _request, response, { content }) => {
      if (attempt === 0) response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(content.subarray(0, 1000));
      return attempt === 0;
    });
    await expectDownloaded(await resolve());
    expect(contentRequests()[1]!.headers.range).toBe('bytes=1000-');
  });

  test('silence counts as cut', async () => {
    vi.stubEnv('HF_HUB_DOWNLOAD_TIMEOUT', '0.1');
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, _request, response, { content }) => {
      if (attempt === 0) response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
      return attempt === 0;
    });
    await expectDownloaded(await resolve());
    expect(contentRequests()[1]!.headers.range).toBe('bytes=1000-');
  });

  test('a signed address that has expired is asked for again', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, _request, response) => attempt === 0 && Boolean(response.writeHead(403).end()));
    await expectDownloaded(await resolve());
    expect(context.hub.requests.filter(({ path }) => path.endsWith('/model.safetensors'))).toHaveLength(2);
  });

  test('an empty file is a file', async () => {
    context.hub.add(ID, { ...FILES, 'empty.json': '' });
    expect(await readFile(join(await resolve(), 'empty.json'), 'utf8')).toBe('');
    const events: Progress[] = [];
    await resolve({ onProgress: (event) => void events.push(event) });
    checkProgress(events);
  });
});

describe('servers that answer a range in their own way', () => {
  const cutFirst = (then: (request: SeenRequest, response: ServerResponse, file: ServedFile) => void): Interference =>
    onContent((attempt, request, response, file) => {
      if (attempt === 0)
        void sendThenCut(request, response, file.content, { etag: `"${blobIdOf(file)}"`, bytes: 100_000, received: partialWith });
      if (attempt === 1) then(request, response, file);
      return attempt < 2;
    });

  test('a server that ignores ranges sends all of it, which is taken', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = cutFirst((_request, response, { content }) =>
      response.writeHead(200, { 'content-length': content.length }).end(content),
    );
    const events: Progress[] = [];
    await expectDownloaded(await resolve({ onProgress: (event) => void events.push(event) }));
    expect(contentRequests()).toHaveLength(2);
    checkProgress(events);
  });

  test.each([
    ['another range', (size: number) => ({ 'content-range': `bytes 5-${size - 1}/${size}` })],
    ['another total', (size: number, start: number) => ({ 'content-range': `bytes ${start}-${size - 1}/${size + 1}` })],
    ['no range', () => ({})],
  ])('206 with %s is begun anew', async (_name, headers) => {
    context.hub.add(ID, FILES);
    context.hub.interfere = cutFirst((request, response, { content }) => {
      const start = Number(/\d+/.exec(request.headers.range!)![0]);
      response.writeHead(206, headers(content.length, start)).end(content.subarray(start));
    });
    await expectDownloaded(await resolve());
    expect(contentRequests()[2]!.headers.range).toBeUndefined();
  });

  test('416 is begun anew', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = cutFirst((_request, response) => response.writeHead(416).end());
    await expectDownloaded(await resolve());
    expect(contentRequests()).toHaveLength(3);
  });
});

describe('wrong content', () => {
  const corrupted = Buffer.from(WEIGHTS);
  corrupted[200_000]! ^= 1;

  test('wrong bytes are fetched once more', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, request, response) => {
      if (attempt === 0) sendFile(request, response, corrupted, '"x"');
      return attempt === 0;
    });
    const events: Progress[] = [];
    await expectDownloaded(await resolve({ onProgress: (event) => void events.push(event) }));
    checkProgress(events);
  });

  test('bytes that stay wrong are refused and left nowhere', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((_attempt, request, response) => {
      sendFile(request, response, corrupted, '"x"');
      return true;
    });
    const error = await failure(resolve());
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(contentRequests()).toHaveLength(2);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: model.safetensors of Org/blip2-tiny at 'main' came twice from <hub>/Org/blip2-tiny/resolve/<hash>/model.safetensors with the hash <hash>; expected SHA-256 <hash>. It was discarded. Run again later, or check whether a proxy or mirror changes files."`,
    );
    await expectNoWeights();
    expect((await blobs()).filter((name) => name.includes('incomplete'))).toEqual([]);
  });

  test('small files are verified too', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = (request, response, file) => {
      if (file && request.path.endsWith('/config.json')) {
        response.writeHead(200, { 'content-length': file.content.length }).end(file.content.toString().replace('blip', 'flip'));
        return true;
      }
      return false;
    };
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: config.json of Org/blip2-tiny at 'main' came twice from <hub>/Org/blip2-tiny/resolve/<hash>/config.json with the hash <hash>; expected git SHA-1 <hash>. It was discarded. Run again later, or check whether a proxy or mirror changes files."`,
    );
  });

  test.each([
    [
      'a shorter content-length',
      (response: ServerResponse) => response.writeHead(200, { 'content-length': 10 }).end('0123456789'),
    ],
    ['a longer body', (response: ServerResponse) => response.writeHead(200).end(Buffer.concat([WEIGHTS, Buffer.alloc(5)]))],
    [
      'another file size on the way',
      (response: ServerResponse) => response.writeHead(200).end(Buffer.alloc(WEIGHTS.length + 70_000)),
    ],
  ])('%s is refused', async (_name, answer) => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((_attempt, _request, response) => Boolean(answer(response)));
    const error = await failure(resolve());
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(plain(error)).toMatch(
      /with (10|more than 400000) bytes; expected 400000 bytes as in the file list\. It was discarded\./,
    );
    await expectNoWeights();
  });

  test.each([
    ['x-linked-etag', `"${'0'.repeat(64)}"`, 'with the hash'],
    ['x-linked-size', '7', 'with 7 bytes'],
  ])('a redirect that contradicts the file list in %s is not followed to its end', async (header, value, message) => {
    context.hub.add(ID, FILES);
    context.hub.interfere = (request, response, file) => {
      if (!file?.large || request.origin !== 'hub') return false;
      response.writeHead(302, { location: `${context.hub.contentOrigin}/${blobIdOf(file)}`, [header]: value }).end();
      return true;
    };
    expect(plain(await failure(resolve()))).toContain(message);
  });

  test('a damaged partial file is found out and begun anew', async () => {
    const { files } = context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, request, response, file) => {
      if (attempt === 0) void sendThenCut(request, response, file.content, { etag: '"x"', bytes: 1000, received: partialWith });
      else response.destroy();
      return true;
    });
    await failure(resolve());
    const [partial] = (await blobs()).filter((name) => name.includes('incomplete'));
    await writeFile(join(repositoryFolder(), 'blobs', partial!), 'damaged');
    context.hub.interfere = undefined;
    context.hub.requests.length = 0;
    await expectDownloaded(await resolve());
    expect(contentRequests().map(({ headers }) => headers.range)).toEqual(['bytes=7-', undefined]);
    expect(partial).toContain(blobIdOf(files.get('model.safetensors')!));
  });

  test('a partial file longer than the file is begun anew', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = onContent((attempt, request, response, file) => {
      if (attempt === 0) void sendThenCut(request, response, file.content, { etag: '"x"', bytes: 1000, received: partialWith });
      else response.destroy();
      return true;
    });
    await failure(resolve());
    const [partial] = (await blobs()).filter((name) => name.includes('incomplete'));
    await truncate(join(repositoryFolder(), 'blobs', partial!), WEIGHTS.length + 1);
    context.hub.interfere = undefined;
    await expectDownloaded(await resolve());
  });
});

describe('servers in trouble', () => {
  test('500 twice, then the answer', async () => {
    context.hub.add(ID, FILES);
    const seen = new Map<string, number>();
    context.hub.interfere = ({ origin, path }, response) => {
      // Of a large file, one of the two servers: both in a row are one failure too many.
      if (origin === 'hub' && path.endsWith('.safetensors')) return false;
      const count = (seen.get(path) ?? 0) + 1;
      seen.set(path, count);
      if (count <= 2) response.writeHead(500 + count).end('oops');
      return count <= 2;
    };
    await expectDownloaded(await resolve());
    expect([...seen.values()]).toEqual([3, 3, 3, 3, 3, 3]);
  });

  test('500 for ever', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = (_request, response) => Boolean(response.writeHead(503).end());
    const error = await failure(resolve());
    expect((error as DownloadError).status).toBe(503);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: fetching the file list of Org/blip2-tiny at 'main' from <hub>/api/models/Org/blip2-tiny/revision/main failed 4 times in a row, last with: HTTP status 503; expected the complete file. The server is at fault: run again later; what has arrived is kept."`,
    );
    expect(context.hub.requests).toHaveLength(4);
  });

  test('429 is waited for as long as the server asks', async () => {
    context.hub.add(ID, FILES);
    let refused = 0;
    let waitedMs = 0;
    context.hub.interfere = onContent((attempt, _request, response) => {
      if (attempt === 0) {
        refused = performance.now();
        response.writeHead(429, { 'retry-after': '1' }).end();
        return true;
      }
      waitedMs = performance.now() - refused;
      return false;
    });
    await expectDownloaded(await resolve());
    expect(waitedMs).toBeGreaterThanOrEqual(990);
  });

  test('429 with a long pause is an error that names it', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = (_request, response) => Boolean(response.writeHead(429, { 'retry-after': '300' }).end());
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: fetching the file list of Org/blip2-tiny at 'main' from <hub>/api/models/Org/blip2-tiny/revision/main failed once, with: HTTP status 429; expected the complete file. Wait 300 seconds and run again: what has arrived is kept. HF_TOKEN raises the limit."`,
    );
    expect(context.hub.requests).toHaveLength(1);
  });

  test('pauses are read from all headers that servers use', () => {
    const now = Date.parse('2024-05-01T00:00:00Z');
    expect(retryAfterMs(new Headers({ 'retry-after': '7' }), now)).toBe(7000);
    expect(retryAfterMs(new Headers({ 'retry-after': 'Wed, 01 May 2024 00:00:09 GMT' }), now)).toBe(9000);
    expect(retryAfterMs(new Headers({ 'retry-after': 'Wed, 01 May 2023 00:00:09 GMT' }), now)).toBe(0);
    expect(retryAfterMs(new Headers({ ratelimit: '"api";r=0;t=55' }), now)).toBe(55_000);
    expect(retryAfterMs(new Headers({ 'retry-after': 'soon' }), now)).toBeUndefined();
    expect(retryAfterMs(new Headers(), now)).toBeUndefined();
  });

  test('nobody listens', async () => {
    const endpoint = context.hub.endpoint;
    await context.hub[Symbol.asyncDispose]();
    expect(plain(await failure(resolve({ endpoint }))).replace(/127\.0\.0\.1:\d+/, '<address>')).toMatchInlineSnapshot(
      `"resolveRepository: fetching the file list of Org/blip2-tiny at 'main' from <hub>/api/models/Org/blip2-tiny/revision/main failed 4 times in a row, last with: connect ECONNREFUSED <address>; expected the complete file. Check the network, the proxy and HF_ENDPOINT and run again: what has arrived is kept. HF_HUB_OFFLINE=1 uses the cache only."`,
    );
  });

  test('a login page instead of a Hub', async () => {
    context.hub.interfere = (_request, response) =>
      Boolean(response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'));
    const error = await failure(resolve());
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/ answered the request for the file list of Org/blip2-tiny at 'main' in a way that cannot be used: Unexpected token '<', "<html>" is not valid JSON; expected the JSON of a Hugging Face Hub. Check HF_ENDPOINT and whether a proxy or login page answers instead."`,
    );
  });

  test.each([
    ['no commit', { id: ID }, undefined],
    ['a commit that is a path', { id: ID, sha: '../../../../etc' }, undefined],
    ['a list that is none', undefined, { files: [] }],
    ['a hash that is a path', undefined, [{ type: 'file', path: 'config.json', size: 2, oid: '../../x' }]],
    ['a negative size', undefined, [{ type: 'file', path: 'config.json', size: -2, oid: 'a'.repeat(40) }]],
  ])('an answer with %s', async (_name, revision, tree) => {
    context.hub.add(ID, FILES);
    context.hub.interfere = ({ path }, response) => {
      const answer = path.includes('/tree/') ? tree : revision;
      if (answer !== undefined) response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      return answer !== undefined;
    };
    const error = await failure(resolve());
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(plain(error)).toContain('in a way that cannot be used');
    expect(await blobs()).toEqual([]);
  });

  test('a file larger than the disk is refused before a byte is fetched', async () => {
    const oid = 'a'.repeat(40);
    context.hub.add(ID, FILES);
    context.hub.interfere = ({ path }, response) => {
      if (!path.includes('/tree/')) return false;
      const lfs = { oid: 'b'.repeat(64), size: 4e15 };
      response.writeHead(200).end(JSON.stringify([{ type: 'file', path: 'model.safetensors', size: 4e15, oid, lfs }]));
      return true;
    };
    const error = await failure(resolve());
    expect(ResourceError.isInstance(error)).toBe(true);
    expect(plain(error).replace(/has [\d.]+ \w+ free/, 'has <some> free')).toMatchInlineSnapshot(
      `"resolveRepository: the disk of the cache <cache> has <some> free; expected at least 4000.00 TB for 1 file. Free some space, or name another folder in HF_HUB_CACHE or cacheFolder."`,
    );
    expect(context.hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
  });
});
