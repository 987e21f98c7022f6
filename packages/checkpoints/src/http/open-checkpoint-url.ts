import { ConfigError, ProgressReporter, type RunOptions } from '@blip2/core';
import type { ReadOptions } from '../bytes/byte-source.ts';
import type { CheckpointFiles } from '../checkpoint/checkpoint-files.ts';
import { openCheckpointFiles, type OpenedCheckpoint } from '../checkpoint/open-checkpoint-files.ts';
import { isMissing, refusal, request, shownUrl, type HttpOptions } from './http-client.ts';
import { openHttpFile, type HttpFile } from './http-byte-source.ts';

/** Options of {@link openCheckpointUrl}. Progress covers the bytes that opening takes. */
export interface OpenUrlOptions extends RunOptions, HttpOptions {}

/**
 * Opens a model folder on a server, in browsers and in Node. Headers are read and checked; each weight comes with a range
 * request of its own when it is read. From a server that ignores ranges every file of weights is downloaded whole, once.
 *
 * @param baseUrl - The folder: `https://example.org/models/blip2-opt/`, or relative to the page. Files are looked for
 *   below it; a query is kept.
 * @returns a checkpoint, the caller's to dispose.
 * @throws {DownloadError} when the server cannot be reached or refuses.
 * @throws {CheckpointError} when weights are missing or malformed.
 * Rejects with the signal's reason on abort.
 *
 * @example
 * const checkpoint = await openCheckpointUrl('/models/blip2-opt', { onProgress: ({ loadedBytes }) => show(loadedBytes) });
 */
export async function openCheckpointUrl(baseUrl: string | URL, options: OpenUrlOptions = {}): Promise<OpenedCheckpoint> {
  const files = new FilesAtUrl(folderUrl(baseUrl), options);
  const checkpoint = await openCheckpointFiles(files, { abortSignal: options.abortSignal });
  files.progress?.complete(files.name);
  return checkpoint;
}

/** Files below a URL. It cannot be asked for a list. */
class FilesAtUrl implements CheckpointFiles {
  readonly name: string;
  progress: ProgressReporter | undefined;
  readonly #folder: URL;
  readonly #options: OpenUrlOptions;
  readonly #opened = new Map<string, HttpFile>();

  constructor(folder: URL, options: OpenUrlOptions) {
    this.name = shownUrl(folder.href).replace(/\/$/, '');
    this.#folder = folder;
    this.#options = options;
  }

  pathOf(fileName: string): string {
    return shownUrl(this.#urlOf(fileName));
  }

  async readFile(fileName: string, { abortSignal }: ReadOptions): Promise<Uint8Array | undefined> {
    const url = this.#urlOf(fileName);
    return request(this.#options, url, {}, abortSignal, async (response) => {
      if (response.ok && !isMissing(response)) return new Uint8Array(await response.arrayBuffer());
      await response.body?.cancel();
      if (isMissing(response)) return undefined;
      throw refusal(url, response.status);
    });
  }

  async open(fileName: string, options: ReadOptions): Promise<HttpFile['source'] | undefined> {
    const file = await openHttpFile(this.#options, this.#urlOf(fileName), options);
    if (file === undefined) return undefined;
    this.#opened.set(fileName, file);
    return file.source;
  }

  allOpened(): void {
    const totalBytes = [...this.#opened.values()].reduce((sum, file) => sum + file.openingBytes, 0);
    const progress = new ProgressReporter('download', totalBytes, this.#options.onProgress);
    this.progress = progress;
    for (const [fileName, file] of this.#opened) {
      progress.add(fileName, file.arrivedBytes);
      file.onArrival = (bytes) => progress.add(fileName, bytes);
    }
  }

  #urlOf(fileName: string): string {
    const url = new URL(encodeURIComponent(fileName), this.#folder);
    url.search = this.#folder.search;
    return url.href;
  }
}

/** An absolute URL whose path ends in a slash, so that file names go below it. */
function folderUrl(baseUrl: string | URL): URL {
  const page = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  const url = URL.canParse(String(baseUrl), page) ? new URL(baseUrl, page) : undefined;
  if (url === undefined || !/^(?:https?|blob|file):$/.test(url.protocol)) {
    throw new ConfigError(
      `openCheckpointUrl: '${baseUrl}' is not a URL, expected one such as 'https://example.org/models/blip2-opt/'. ` +
        `For a folder on this machine use openCheckpointFolder of '@blip2/checkpoints/node'.`,
    );
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}
