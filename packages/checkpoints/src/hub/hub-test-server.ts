import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository that the test server has. */
export interface ServedRepository {
  readonly commit: string;
  readonly files: ReadonlyMap<string, ServedFile>;
}

export interface ServedFile {
  readonly content: Buffer;
  /** Kept in large file storage: named by SHA-256, served by the other origin after a redirect. */
  readonly large: boolean;
}

/** A request that came in, and what the test may do with it instead of the ordinary answer. */
export interface SeenRequest {
  readonly origin: 'hub' | 'content';
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/** Returns true when it has answered. */
export type Interference = (request: SeenRequest, response: ServerResponse, file: ServedFile | undefined) => boolean | void;

/**
 * A Hub on loopback for tests: the routes, headers, pages and redirects of the real one, with large files on a second origin.
 *
 * Source: the Hub's API as huggingface_hub uses it.
 */
export interface HubTestServer extends AsyncDisposable {
  readonly endpoint: string;
  /** Where large files come from. */
  readonly contentOrigin: string;
  /** Every request, in order. */
  readonly requests: SeenRequest[];
  /** Set by a test to answer badly. */
  interfere: Interference | undefined;
  /** Entries a page of the file list. */
  pageSize: number;
  /** Token without which nothing is answered. */
  token: string | undefined;
  add(repositoryId: string, files: Readonly<Record<string, string | Buffer>>, commit?: string): ServedRepository;
}

/** The hash under which the Hub and its cache know a file. */
export function blobIdOf(file: ServedFile): string {
  let id = knownBlobIds.get(file);
  if (id === undefined) {
    const { content, large } = file;
    const hash = large ? createHash('sha256') : createHash('sha1').update(`blob ${content.length}\0`);
    knownBlobIds.set(file, (id = hash.update(content).digest('hex')));
  }
  return id;
}

const knownBlobIds = new WeakMap<ServedFile, string>();

/** Starts both origins on free ports of 127.0.0.1. */
export async function startHubTestServer(): Promise<HubTestServer> {
  const repositories = new Map<string, ServedRepository>();
  const servers = { hub: createServer(), content: createServer() };
  await Promise.all(Object.values(servers).map(listen));
  // Another host as well as another port: some clients take hosts for origins.
  const contentOrigin = address(servers.content).replace('127.0.0.1', 'localhost');
  const hub: HubTestServer = {
    endpoint: address(servers.hub),
    contentOrigin,
    requests: [],
    interfere: undefined,
    pageSize: 1000,
    token: undefined,
    add(repositoryId, files, commit = commitOf(files)) {
      const served = Object.entries(files).map(([path, content]): [string, ServedFile] => [
        path,
        { content: Buffer.from(content), large: /\.(safetensors|bin)$/.test(path) },
      ]);
      const repository = { commit, files: new Map(served) };
      repositories.set(repositoryId, repository);
      return repository;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(Object.values(servers).map(close));
    },
  };
  servers.hub.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    const url = new URL(incoming.url ?? '', hub.endpoint);
    const request: SeenRequest = {
      origin: 'hub',
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: incoming.headers,
    };
    hub.requests.push(request);
    answerHub(hub, repositories, contentOrigin, request, response);
  });
  servers.content.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    const url = new URL(incoming.url ?? '', contentOrigin);
    const request: SeenRequest = { origin: 'content', path: url.pathname, query: url.searchParams, headers: incoming.headers };
    hub.requests.push(request);
    const file = [...repositories.values()]
      .flatMap(({ files }) => [...files.values()])
      .find((one) => `/${blobIdOf(one)}` === url.pathname);
    if (hub.interfere?.(request, response, file)) return;
    if (!file) return void response.writeHead(403).end();
    sendFile(request, response, file.content, `"${blobIdOf(file)}"`);
  });
  return hub;
}

/** Sends a file, or the range of it that was asked for, as a content server does. */
export function sendFile(request: SeenRequest, response: ServerResponse, content: Buffer, etag: string): void {
  const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
  const stillThat = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  if (start === undefined || !stillThat) {
    response.writeHead(200, { 'content-length': content.length, etag, 'accept-ranges': 'bytes' }).end(content);
  } else if (Number(start) >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
  } else {
    const part = content.subarray(Number(start));
    const range = `bytes ${start}-${content.length - 1}/${content.length}`;
    response.writeHead(206, { 'content-length': part.length, 'content-range': range, etag }).end(part);
  }
}

/**
 * Sends the beginning of a file with the headers of all of it, waits until `received`, then cuts the connection. Without the wait
 * the cut might overtake the bytes: what a client has not read yet is lost with the connection.
 */
export async function sendThenCut(
  request: SeenRequest,
  response: ServerResponse,
  content: Buffer,
  options: { etag: string; bytes: number; received: (total: number) => Promise<void> },
): Promise<void> {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const end = Math.min(content.length, start + options.bytes);
  response.writeHead(start > 0 ? 206 : 200, {
    'content-length': content.length - start,
    etag: options.etag,
    ...(start > 0 ? { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` } : {}),
  });
  if (end === content.length) return void response.end(content.subarray(start));
  response.write(content.subarray(start, end));
  await options.received(end);
  response.destroy();
}

function answerHub(
  hub: HubTestServer,
  repositories: ReadonlyMap<string, ServedRepository>,
  contentOrigin: string,
  request: SeenRequest,
  response: ServerResponse,
): void {
  const api = /^\/api\/models\/(?<id>[^/]+(?:\/[^/]+)?)\/(?<route>revision|tree)\/(?<revision>.+)$/.exec(request.path)?.groups;
  const resolve = /^\/(?<id>[^/]+(?:\/[^/]+)?)\/resolve\/(?<revision>[^/]+)\/(?<path>.+)$/.exec(request.path)?.groups;
  const route = api ?? resolve;
  const repository = repositories.get(route?.['id'] ?? '');
  const file = repository?.files.get(resolve?.['path'] ?? '');
  if (hub.interfere?.(request, response, file)) return;
  const fail = (status: number, code: string, message: string): void => {
    const headers = { 'content-type': 'application/json', 'x-error-code': code, 'x-error-message': message };
    response.writeHead(status, headers).end(JSON.stringify({ error: message }));
  };
  if (hub.token !== undefined && request.headers.authorization !== `Bearer ${hub.token}`) {
    return fail(401, 'RepoNotFound', 'Invalid username or password.');
  }
  if (!route || !repository) return fail(404, 'RepoNotFound', 'Repository not found');
  const { commit } = repository;
  if (route['revision'] !== commit && route['revision'] !== 'main') return fail(404, 'RevisionNotFound', 'Invalid rev id');
  if (api?.['route'] === 'revision')
    return sendJson(response, { _id: '1', id: route['id'], sha: commit, lastModified: '2024-01-01T00:00:00.000Z' });
  if (api) return sendPage(hub, repository, request, response);
  if (!file) return fail(404, 'EntryNotFound', 'Entry not found');
  const etag = `"${blobIdOf(file)}"`;
  response.setHeader('x-repo-commit', commit);
  if (!file.large) return sendFile(request, response, file.content, etag);
  const location = `${contentOrigin}/${blobIdOf(file)}?signature=secret`;
  response.writeHead(302, { location, 'x-linked-etag': etag, 'x-linked-size': file.content.length }).end();
}

function sendPage(hub: HubTestServer, repository: ServedRepository, request: SeenRequest, response: ServerResponse): void {
  const entries = [...repository.files].map(([path, file]) => ({
    type: 'file',
    path,
    size: file.content.length,
    oid: file.large ? createHash('sha1').update(path).digest('hex') : blobIdOf(file),
    ...(file.large ? { lfs: { oid: blobIdOf(file), size: file.content.length, pointerSize: 134 } } : {}),
  }));
  const start = Number(request.query.get('cursor') ?? 0);
  const end = start + hub.pageSize;
  if (end < entries.length) {
    const next = `${hub.endpoint}${request.path}?recursive=1&cursor=${end}`;
    response.setHeader('link', `<${next}>; rel="next"`);
  }
  sendJson(response, [
    ...(start === 0 ? [{ type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }] : []),
    ...entries.slice(start, end),
  ]);
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function commitOf(files: Readonly<Record<string, string | Buffer>>): string {
  const hash = createHash('sha1');
  for (const [path, content] of Object.entries(files)) hash.update(`${path}\0${content.length}\0`).update(content);
  return hash.digest('hex');
}

function address(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
