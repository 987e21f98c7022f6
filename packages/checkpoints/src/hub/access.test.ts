import { readdir } from 'node:fs/promises';
import { DownloadError } from '@blip2/core';
import { describe, expect, test, vi } from 'vitest';
import { failure, FILES, ID, useHub, WANTED } from './hub-test-support.ts';

const context = useHub();
const { resolve, plain } = context;
const TOKEN = 'hf_averysecrettoken';

describe('the access token', () => {
  test('goes to the endpoint and to nobody else', async () => {
    context.hub.token = TOKEN;
    context.hub.pageSize = 2;
    context.hub.add(ID, FILES);
    vi.stubEnv('HF_TOKEN', ` ${TOKEN}\n`);
    expect((await readdir(await resolve())).toSorted()).toEqual(WANTED);
    const { requests } = context.hub;
    expect(requests.filter(({ origin }) => origin === 'content').length).toBe(1);
    for (const { origin, headers } of requests) {
      expect(headers.authorization).toBe(origin === 'hub' ? `Bearer ${TOKEN}` : undefined);
      expect(origin === 'content' && JSON.stringify(headers).includes(TOKEN)).toBe(false);
    }
  });

  test('does not follow a redirect or a next page to another host', async () => {
    context.hub.add(ID, FILES);
    const elsewhere = `${context.hub.contentOrigin}/api/models/${ID}/tree/x`;
    context.hub.interfere = ({ origin, path }, response) => {
      if (origin === 'content' && path.startsWith('/api')) response.writeHead(200).end('[]');
      else if (path.includes('/tree/')) response.writeHead(200, { link: `<${elsewhere}>; rel="next"` }).end('[]');
      else return false;
      return true;
    };
    await failure(resolve({ token: TOKEN }));
    const away = context.hub.requests.filter(({ origin }) => origin === 'content');
    expect(away).toHaveLength(1);
    expect(away[0]!.headers.authorization).toBeUndefined();
  });

  test('stands in no message, even if the server says it', async () => {
    context.hub.interfere = (_request, response) =>
      Boolean(response.writeHead(401, { 'x-error-message': `Invalid token ${TOKEN}`, 'x-error-code': TOKEN }).end(TOKEN));
    const error = await failure(resolve({ token: TOKEN }));
    expect(JSON.stringify([error.message, error.stack, { ...error }])).not.toContain(TOKEN);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main answered 401 (“Invalid token …”): the token gives no access to Org/blip2-tiny; expected a repository that may be read. Check HF_TOKEN and its permissions, and <hub>/Org/blip2-tiny."`,
    );
  });

  test('a custom fetch carries every request, and follows no redirect itself', async () => {
    context.hub.add(ID, FILES);
    const seen: string[] = [];
    await resolve({
      fetch: async (input, init) => {
        expect(init?.redirect).toBe('manual');
        seen.push(new URL(String(input)).pathname);
        return fetch(input, init);
      },
    });
    expect(seen).toHaveLength(context.hub.requests.length);
  });
});

describe('what the Hub refuses', () => {
  const refuse = (status: number, headers: Record<string, string> = {}): void => {
    context.hub.interfere = (_request, response) => Boolean(response.writeHead(status, headers).end());
  };

  test('401 without a token', async () => {
    refuse(401);
    const error = await failure(resolve());
    expect((error as DownloadError).status).toBe(401);
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main answered 401: Org/blip2-tiny is private, gated or does not exist; expected a repository that may be read. Check the spelling, or set HF_TOKEN."`,
    );
    expect(context.hub.requests).toHaveLength(1);
  });

  test('403 with a token', async () => {
    refuse(403);
    expect(plain(await failure(resolve({ token: TOKEN })))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main answered 403: the token gives no access to Org/blip2-tiny; expected a repository that may be read. Check HF_TOKEN and its permissions, and <hub>/Org/blip2-tiny."`,
    );
  });

  test('a gated repository', async () => {
    refuse(403, { 'x-error-code': 'GatedRepo', 'x-error-message': 'Access to model Org/blip2-tiny is restricted.' });
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main answered 403 (“Access to model Org/blip2-tiny is restricted.”): Org/blip2-tiny is gated; expected a token of somebody who has accepted its terms. Accept the terms on <hub>/Org/blip2-tiny and set HF_TOKEN."`,
    );
  });

  test('a repository that does not exist', async () => {
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main answered 404 (“Repository not found”): there is no repository Org/blip2-tiny; expected an existing repository and revision. Check the spelling; if it is private, set HF_TOKEN."`,
    );
  });

  test('a revision that does not exist', async () => {
    context.hub.add(ID, FILES);
    expect(plain(await failure(resolve({ revision: 'v9' })))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/v9 answered 404 (“Invalid rev id”): Org/blip2-tiny has no revision 'v9'; expected a branch, tag or commit of it. Look up the revisions on <hub>/Org/blip2-tiny, or use 'main'."`,
    );
  });

  test('a file that its list names and the server does not have', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = ({ path }, response) =>
      path.endsWith('/merges.txt') && Boolean(response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end());
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/Org/blip2-tiny/resolve/<hash>/merges.txt answered 404: Org/blip2-tiny has no file merges.txt at 'main'; expected the file that its list names. The server contradicts its own list: run again, or check HF_ENDPOINT."`,
    );
  });

  test('an address that does not exist on the content server, without its signature', async () => {
    context.hub.add(ID, FILES);
    context.hub.interfere = ({ origin }, response) => origin === 'content' && Boolean(response.writeHead(418).end());
    const error = await failure(resolve());
    expect(error.message).not.toContain('signature');
    expect((error as DownloadError).url).not.toContain('signature');
    expect(plain(error)).toMatchInlineSnapshot(
      `"resolveRepository: <content>/<hash> answered 418: no answer to the request for model.safetensors of Org/blip2-tiny at 'main'; expected status 200. Check HF_ENDPOINT and the proxy."`,
    );
  });

  test('redirects without end, and to other schemes', async () => {
    context.hub.interfere = ({ path }, response) => Boolean(response.writeHead(302, { location: path }).end());
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main redirects for the 11th time; expected at most 10 redirects. Check HF_ENDPOINT and the proxy."`,
    );
    expect(context.hub.requests.length).toBeLessThan(15);
    context.hub.interfere = (_request, response) => Boolean(response.writeHead(302, { location: 'file:///etc/passwd' }).end());
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: <hub>/api/models/Org/blip2-tiny/revision/main redirects to a file: address; expected http or https. Check HF_ENDPOINT and the proxy."`,
    );
  });

  test('none of the files is wanted', async () => {
    context.hub.add(ID, { 'a.bin': 'x' });
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: Org/blip2-tiny at 'main' (commit <hash>) has 1 file such as a.bin; expected at least one that is wanted. Check the id and the option 'include'."`,
    );
  });

  test('weights in pickled form only', async () => {
    context.hub.add(ID, { 'config.json': '{}', 'pytorch_model.bin': 'x' });
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: Org/blip2-tiny at 'main' (commit <hash>) has its weights in pytorch_model.bin and none in safetensors; expected model.safetensors or its shards. Choose a newer revision, or convert the weights; to fetch the other files alone, name them in 'include'."`,
    );
    await resolve({ include: ['*.json'] });
  });
});

describe('file names that a server might try', () => {
  test.each([
    '../config.json',
    '../../../../.bashrc',
    '/etc/cron.d/x',
    'a/../../x.json',
    './config.json',
    'a//b.json',
    'a/',
    '..',
    '',
    'C:/x.json',
    'c:x.json',
    'a\\..\\b.json',
    '\\\\host\\share\\x.json',
    'config.json\0.txt',
    'line\nbreak.json',
    `${'x'.repeat(300)}.json`,
    'config.json/inner.json',
  ])('%j is refused and nothing is written', async (name) => {
    context.hub.add(ID, { 'config.json': '{}', [name]: '{}' });
    const error = await failure(resolve({ include: () => true }));
    expect(DownloadError.isInstance(error)).toBe(true);
    expect(plain(error)).toContain('Nothing was written.');
    expect(await readdir(context.cacheFolder)).toEqual([]);
  });

  test('the message', async () => {
    context.hub.add(ID, { '../../x.json': '{}' });
    expect(plain(await failure(resolve()))).toMatchInlineSnapshot(
      `"resolveRepository: the file list of Org/blip2-tiny has "../../x.json", which has the segment '..'; expected a relative path below the snapshot folder. Nothing was written. Do not use this repository, or check the endpoint."`,
    );
  });
});
