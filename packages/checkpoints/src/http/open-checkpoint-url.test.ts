import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { CheckpointError, ConfigError, DownloadError, type Progress } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openCheckpointFolder } from '../node/open-folder.ts';
import { encodeSafetensors } from '../safetensors/encode-safetensors.ts';
import { openSafetensors } from '../safetensors/open-safetensors.ts';
import { byteSourceFromUrl } from './http-byte-source.ts';
import { openCheckpointUrl } from './open-checkpoint-url.ts';

type Mode = 'ranges' | 'no ranges' | 'no ranges, chunked' | 'ranges without total';

/** A static file server whose manners a test chooses. */
class FileServer {
  mode: Mode = 'ranges';
  readonly files = new Map<string, Buffer>();
  readonly requests: string[] = [];
  etag = '"1"';
  /** Answers instead of the ordinary way; returns true when it did. */
  interfere: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/models/m`;
  }

  serveFixture(folder: string): void {
    for (const name of readdirSync(fixturePath('models', folder)))
      this.files.set(name, readFileSync(fixturePath('models', folder, name)));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, search } = new URL(request.url!, 'http://localhost');
    const name = decodeURIComponent(pathname.slice('/models/m/'.length));
    this.requests.push(`${name}${search} ${request.headers.range ?? ''}`.trim());
    if (this.interfere?.(request, response) === true) return;
    const content = this.files.get(name);
    if (content === undefined) {
      response.writeHead(404).end('not here');
      return;
    }
    const range = this.mode.startsWith('ranges') ? /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') : null;
    if (range === null) {
      const chunked = this.mode === 'no ranges, chunked';
      response.writeHead(200, chunked ? {} : { 'content-length': content.length });
      response.end(content);
      return;
    }
    if (content.length === 0) {
      response.writeHead(416, { 'content-range': 'bytes */0' }).end();
      return;
    }
    const [begin, end] = [Number(range[1]), Math.min(Number(range[2]), content.length - 1)];
    const headers = this.mode === 'ranges' ? { 'content-range': `bytes ${begin}-${end}/${content.length}` } : {};
    response
      .writeHead(206, { ...headers, 'content-length': end - begin + 1, etag: this.etag })
      .end(content.subarray(begin, end + 1));
  }
}

let server: FileServer;

beforeEach(async () => {
  server = new FileServer();
  await server.start();
});

afterEach(() => server.stop());

/** Larger than what comes with the first request, so that reading takes further ones. */
const LARGE = encodeSafetensors({
  a: { shape: [400_000], values: Float32Array.from({ length: 400_000 }, (_, index) => index) },
  b: { shape: [2], values: [7, 8], dtype: 'F16' },
});

async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('nothing was thrown');
    },
    (cause: unknown) => {
      (cause as Error).message = (cause as Error).message.replaceAll(server.url, 'http://server/m');
      return cause as Error;
    },
  );
}

describe.each<Mode>(['ranges', 'no ranges', 'no ranges, chunked', 'ranges without total'])('a server with %s', (mode) => {
  test.each(['blip2-opt', 'blip2-flan-t5-bfloat16-sharded', 'stage1'])('gives every weight and file of %s', async (folder) => {
    server.mode = mode;
    server.serveFixture(folder);
    const expected = await openCheckpointFolder(fixturePath('models', folder));
    const checkpoint = await openCheckpointUrl(server.url);
    expect(checkpoint.name).toBe(server.url);
    expect(checkpoint.weights.names).toEqual(expected.weights.names);
    for (const name of checkpoint.weights.names) {
      expect(await checkpoint.weights.get(name)!.read(), name).toEqual(await expected.weights.get(name)!.read());
    }
    expect(await checkpoint.readFile('tokenizer.json')).toEqual(new Uint8Array((await expected.readFile('tokenizer.json'))!));
    expect(await checkpoint.readFile('none.json')).toBeUndefined();
    expected.dispose();
    checkpoint.dispose();
  });

  test('reads weights beyond the first request, and reports the bytes that opening takes', async () => {
    server.mode = mode;
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const events: Progress[] = [];
    const checkpoint = await openCheckpointUrl(new URL(server.url), { onProgress: (event) => events.push(event) });
    expect((await checkpoint.weights.get('a')!.read()).at(-1)).toBe(399_999);
    expect(await checkpoint.weights.get('a')!.rows(300_000, 300_002).read()).toEqual(Float32Array.of(300_000, 300_001));
    expect(await checkpoint.weights.get('b')!.read()).toEqual(Float32Array.of(7, 8));
    const wholeFiles = server.requests.filter((request) => request === 'model.safetensors').length;
    expect(wholeFiles).toBe(mode === 'ranges without total' ? 1 : 0); // the first request asks for a range always
    expect(server.requests.length).toBe(mode === 'ranges' ? 4 : mode === 'ranges without total' ? 2 : 1);

    const totals = new Set(events.map((event) => event.totalBytes));
    expect([...totals]).toEqual([mode === 'ranges' ? 1024 * 1024 : LARGE.length]);
    expect(events.every((event, index) => index === 0 || event.loadedBytes >= events[index - 1]!.loadedBytes)).toBe(true);
    expect(events.at(-1)).toMatchObject({ phase: 'download', loadedBytes: events[0]!.totalBytes });
    checkpoint.dispose();
  });
});

describe('files with URLs of their own', () => {
  test('are found by name, as a bundler left them', async () => {
    server.files.set('model-5f3a.safetensors', Buffer.from(LARGE));
    const checkpoint = await openCheckpointUrl({
      'config.json': 'data:application/json,{"model_type":"blip-2"}',
      'model.safetensors': new URL(`${server.url}/model-5f3a.safetensors`),
    });
    expect(await checkpoint.weights.get('b')!.read()).toEqual(Float32Array.of(7, 8));
    expect(new TextDecoder().decode(await checkpoint.readFile('config.json'))).toBe('{"model_type":"blip-2"}');
    expect(await checkpoint.readFile('preprocessor_config.json')).toBeUndefined();
    checkpoint.dispose();
  });

  test('none, or without weights, is no model', async () => {
    expect((await failure(openCheckpointUrl({}))).message).toMatchInlineSnapshot(
      `"openCheckpointUrl: got no files. Pass the URL of every file of the model, by name, or that of its folder."`,
    );
    expect((await failure(openCheckpointUrl({ 'config.json': 'data:,{}' }))).message).toMatchInlineSnapshot(
      `"files in data URLs: found no weights; expected model.safetensors, or model.safetensors.index.json with the files it names. Check that this is a model's folder."`,
    );
    expect((await failure(openCheckpointUrl({ 'config.json': 'ftp://server/config.json' }))).message).toMatchInlineSnapshot(
      `"openCheckpointUrl: 'ftp://server/config.json' is not a URL, expected one such as 'https://example.org/models/blip2-opt/'. For a folder on this machine use openCheckpointFolder of '@blip2/checkpoints/node'."`,
    );
  });
});

describe('addresses', () => {
  test('a query is kept and never shown', async () => {
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const checkpoint = await openCheckpointUrl(`${server.url}/?token=secret`);
    await checkpoint.readFile('a b.json');
    expect(server.requests).toEqual(['model.safetensors?token=secret bytes=0-1048575', 'a b.json?token=secret']);
    expect(checkpoint.name + checkpoint.weights.get('a')!.location!.file).not.toContain('secret');
  });

  test('what is not a URL is refused', async () => {
    const error = await failure(openCheckpointUrl('models/blip2-opt'));
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatchInlineSnapshot(
      `"openCheckpointUrl: 'models/blip2-opt' is not a URL, expected one such as 'https://example.org/models/blip2-opt/'. For a folder on this machine use openCheckpointFolder of '@blip2/checkpoints/node'."`,
    );
  });

  test("headers and fetch are the application's", async () => {
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const seen: unknown[] = [];
    const fetchWithNote: typeof fetch = (input, init) => {
      seen.push(init?.headers);
      return fetch(input, init);
    };
    await openCheckpointUrl(server.url, { fetch: fetchWithNote, headers: { authorization: 'Bearer x' } });
    expect(seen).toEqual([{ authorization: 'Bearer x', range: 'bytes=0-1048575' }]);
  });

  test('one file of a server', async () => {
    server.files.set('x.safetensors', Buffer.from(LARGE));
    const file = await openSafetensors(await byteSourceFromUrl(`${server.url}/x.safetensors`));
    expect(file.names).toEqual(['a', 'b']);
    const error = await failure(byteSourceFromUrl(`${server.url}/y.safetensors`));
    expect(error.message).toMatchInlineSnapshot(
      `"http://server/m/y.safetensors: the server answered with status 404, expected the file. Check the address, or try again later."`,
    );
  });
});

describe('what a server may do wrong', () => {
  test('no weights, or pickled ones only', async () => {
    expect((await failure(openCheckpointUrl(server.url))).message).toMatchInlineSnapshot(
      `"http://server/m: found no weights; expected model.safetensors, or model.safetensors.index.json with the files it names. Check that this is a model's folder."`,
    );
    server.files.set('pytorch_model.bin', Buffer.from('x'));
    expect((await failure(openCheckpointUrl(server.url))).message).toMatchInlineSnapshot(
      `"http://server/m: found only pytorch_model.bin, a pickled PyTorch file, which can run hidden programs and is not read; expected model.safetensors, or model.safetensors.index.json with the files it names. Convert it once in Python: safetensors.torch.save_file(state_dict, 'model.safetensors') or model.save_pretrained(folder)."`,
    );
  });

  test('a start page instead of 404 counts as no file', async () => {
    server.serveFixture('blip2-flan-t5-bfloat16-sharded');
    server.interfere = (request, response) => {
      if (server.files.has(request.url!.slice('/models/m/'.length))) return false;
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<!doctype html>');
      return true;
    };
    const checkpoint = await openCheckpointUrl(server.url);
    expect(checkpoint.weights.names.length).toBe(208);
    expect(await checkpoint.readFile('none.json')).toBeUndefined();
  });

  test('a refusal is told at once', async () => {
    server.interfere = (_, response) => {
      response.writeHead(403).end();
      return true;
    };
    const error = await failure(openCheckpointUrl(server.url));
    expect(error).toBeInstanceOf(DownloadError);
    expect((error as DownloadError).status).toBe(403);
    expect(error.message).toMatchInlineSnapshot(
      `"http://server/m/model.safetensors: the server answered with status 403, expected the file. Check that the address is right and that its headers or its signature allow reading."`,
    );
    expect(server.requests.length).toBe(1);
  });

  test('a busy server and a cut connection are tried again', async () => {
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const checkpoint = await openCheckpointUrl(server.url);
    let troubles = 0;
    server.interfere = (_, response) => {
      troubles++;
      if (troubles === 1) response.writeHead(503).end();
      if (troubles === 2) {
        response.writeHead(206, { 'content-length': 1_600_000, 'content-range': `bytes 0-1/${LARGE.length}` });
        response.write(Buffer.alloc(1000), () => response.destroy());
      }
      return troubles <= 2;
    };
    expect((await checkpoint.weights.get('a')!.read()).at(-1)).toBe(399_999);
    expect(troubles).toBe(3);
  });

  test('a whole download that is cut is begun again, and progress does not go back', async () => {
    server.mode = 'no ranges';
    server.files.set('model.safetensors', Buffer.from(LARGE));
    let cut = false;
    server.interfere = (_, response) => {
      if (cut) return false;
      cut = true;
      response.writeHead(200, { 'content-length': LARGE.length });
      response.write(LARGE.subarray(0, 900_000), () => response.destroy());
      return true;
    };
    const events: Progress[] = [];
    const checkpoint = await openCheckpointUrl(server.url, { onProgress: (event) => events.push(event) });
    expect((await checkpoint.weights.get('a')!.read()).at(-1)).toBe(399_999);
    expect(events.every((event, index) => index === 0 || event.loadedBytes >= events[index - 1]!.loadedBytes)).toBe(true);
    expect(events.at(-1)!.loadedBytes).toBe(LARGE.length);
  });

  test('a connection that always breaks is an error', async () => {
    server.interfere = (request) => {
      request.socket.destroy();
      return true;
    };
    const error = await failure(openCheckpointUrl(server.url));
    expect(error).toBeInstanceOf(DownloadError);
    expect(error.message).toMatchInlineSnapshot(
      `"http://server/m/model.safetensors: the connection failed 3 times (fetch failed: other side closed), expected the file. Check the address and the network; a page may only read servers that allow it (CORS)."`,
    );
    expect(server.requests.length).toBe(3);
  });

  test('a file that changes while it is open is noticed: other bytes, another size, no ranges any more', async () => {
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const checkpoint = await openCheckpointUrl(server.url);
    server.etag = '"2"';
    const error = await failure(checkpoint.weights.get('a')!.read());
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatchInlineSnapshot(
      `"http://server/m/model.safetensors: the file on the server is not the one that was opened. It changed meanwhile; open the checkpoint again."`,
    );
    server.etag = '"1"';
    server.files.set('model.safetensors', Buffer.concat([LARGE, LARGE]));
    expect((await failure(checkpoint.weights.get('a')!.read())).message).toContain('changed meanwhile');
    server.mode = 'no ranges';
    expect((await failure(checkpoint.weights.get('a')!.read())).message).toContain('changed meanwhile');
  });

  test('an empty file is not a safetensors file', async () => {
    server.files.set('model.safetensors', Buffer.alloc(0));
    expect((await failure(openCheckpointUrl(server.url))).message).toContain('the file has 0 bytes');
  });

  test('a missing shard', async () => {
    server.serveFixture('blip2-flan-t5-bfloat16-sharded');
    server.files.delete('model-00003-of-00004.safetensors');
    const error = await failure(openCheckpointUrl(server.url));
    expect(error.message).toContain('model-00003-of-00004.safetensors: missing, but model.safetensors.index.json puts');
  });
});

describe('abort', () => {
  test('before, during opening and during a read: the reason, unwrapped', async () => {
    const reason = new Error('enough');
    await expect(openCheckpointUrl(server.url, { abortSignal: AbortSignal.abort(reason) })).rejects.toBe(reason);

    server.files.set('model.safetensors', Buffer.from(LARGE));
    const checkpoint = await openCheckpointUrl(server.url);
    const controller = new AbortController();
    server.interfere = () => {
      controller.abort(reason);
      return true; // and never an answer
    };
    await expect(checkpoint.weights.get('a')!.read({ abortSignal: controller.signal })).rejects.toBe(reason);
    server.interfere = undefined;
    expect((await checkpoint.weights.get('a')!.read()).length).toBe(400_000);
  });

  test('in the middle of a whole download', async () => {
    server.mode = 'no ranges';
    server.files.set('model.safetensors', Buffer.from(LARGE));
    const controller = new AbortController();
    server.interfere = (_, response) => {
      response.writeHead(200, { 'content-length': LARGE.length });
      response.write(LARGE.subarray(0, 900_000));
      return true;
    };
    const opening = openCheckpointUrl(server.url, {
      abortSignal: controller.signal,
      onProgress: ({ loadedBytes }) => loadedBytes > 0 && controller.abort(),
    });
    await expect(opening).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });
});
