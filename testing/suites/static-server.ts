import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
};

const ISOLATION = [
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Embedder-Policy', 'require-corp'],
] as const;

/** A running server. */
export interface StaticServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:40123`. */
  readonly url: string;
  /** How many answers were parts of files. */
  readonly partialAnswers: number;
}

/**
 * Serves folders on loopback as a plain web server does: types, lengths, byte ranges.
 *
 * @param isolated - The folders whose pages are isolated from other origins, so that their threads may share memory.
 */
export async function serveFolders(
  folders: Readonly<Record<string, string>>,
  { isolated = [] }: { readonly isolated?: readonly string[] } = {},
): Promise<StaticServer> {
  let partialAnswers = 0;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const mount = Object.keys(folders).find((prefix) => pathname.startsWith(prefix));
    if (mount === undefined) return void response.writeHead(404).end();
    if (isolated.includes(mount)) response.setHeaders(new Map(ISOLATION));
    const path = decodeURIComponent(pathname.slice(mount.length)) || 'index.html';
    const file = join(folders[mount]!, normalize(`/${path}`));
    send(file, request.method === 'HEAD', request.headers.range, response)
      .then((partial) => (partialAnswers += partial ? 1 : 0))
      .catch(() => response.writeHead(404).end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get partialAnswers() {
      return partialAnswers;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Sends a file, or the part that a `Range` header names. @returns whether it was a part. */
async function send(file: string, headOnly: boolean, range: string | undefined, response: ServerResponse): Promise<boolean> {
  const info = await stat(file);
  if (!info.isFile()) throw new Error(`${file} is not a file`);
  const wanted = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  const start = wanted ? Number(wanted[1]) : 0;
  const end = Math.min(info.size, wanted?.[2] ? Number(wanted[2]) + 1 : info.size); // exclusive
  const headers = {
    'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    'Content-Length': end - start,
    ...(wanted && { 'Content-Range': `bytes ${start}-${end - 1}/${info.size}` }),
  };
  response.writeHead(wanted ? 206 : 200, headers);
  if (headOnly || end === start) response.end();
  else createReadStream(file, { start, end: end - 1 }).pipe(response);
  return wanted !== null;
}
