import { DownloadError } from '@blip2/core';
import { type Exchange, openExchange, shownUrl } from './exchange.ts';
import { Interruption, Retries, type RetryPolicy, retryAfterMs } from './retry.ts';
import type { HubSettings } from './hub-settings.ts';

/** Everything that requests of one call share. */
export interface Connection {
  readonly settings: HubSettings;
  readonly retryPolicy: RetryPolicy;
  readonly abortSignal: AbortSignal | undefined;
}

/** What a request is about, for messages. */
export interface RequestSubject {
  readonly repositoryId: string;
  readonly revision: string;
  /** Path inside the repository, where the request is for a file. */
  readonly file?: string;
}

const LONGEST_TEXT_BYTES = 64 * 1024 * 1024;

/** What the request was for, in words. */
export function describeSubject({ repositoryId, revision, file }: RequestSubject): string {
  return file === undefined ? `the file list of ${repositoryId} at '${revision}'` : `${file} of ${repositoryId} at '${revision}'`;
}

/**
 * Turns an error status into the error that it means. Does nothing for 2xx, and nothing for 416, which is the business of
 * whoever asked for a range.
 *
 * @throws {Interruption} for 408, 429 and 5xx, and where a content server refuses the Hub's address: worth another try.
 * @throws {DownloadError} for everything else.
 */
export function checkStatus(exchange: Exchange, subject: RequestSubject, settings: HubSettings): void {
  const { status, headers } = exchange;
  if ((status >= 200 && status < 300) || status === 416) return;
  if (status === 408 || status === 429 || status >= 500) {
    throw new Interruption(`HTTP status ${status}${said(headers, settings)}`, { status, retryAfterMs: retryAfterMs(headers) });
  }
  if (new URL(exchange.url).origin !== settings.endpoint.origin && [401, 403, 404, 410].includes(status)) {
    // Signed addresses of content servers expire; the next try asks the Hub for a new one.
    throw new Interruption(`${exchange.url} answered ${status} to the address that the Hub gave`, { status });
  }
  const { what, expected, advice } = explainStatus(status, headers.get('x-error-code'), subject, settings);
  throw new DownloadError(
    `resolveRepository: ${exchange.url} answered ${status}${said(headers, settings)}: ${what}; expected ${expected}. ${advice}`,
    exchange.url,
    status,
  );
}

/**
 * Fetches a small text whole, trying again when the connection fails.
 *
 * @throws {DownloadError} when it cannot be had.
 */
export async function fetchText(
  connection: Connection,
  url: URL,
  accept: string,
  subject: RequestSubject,
): Promise<{ text: string; headers: Headers; url: string }> {
  const { settings, retryPolicy, abortSignal } = connection;
  const retries = new Retries(retryPolicy, abortSignal);
  for (;;) {
    try {
      const exchange = await openExchange(settings, url, { accept }, abortSignal);
      try {
        checkStatus(exchange, subject, settings);
        return { text: await readText(exchange), headers: exchange.headers, url: exchange.url };
      } finally {
        await exchange.close();
      }
    } catch (error) {
      await retries.waitAfter(error, describeSubject(subject), shownUrl(url));
    }
  }
}

async function readText(exchange: Exchange): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of exchange.chunks()) {
    size += part.length;
    if (size > LONGEST_TEXT_BYTES) {
      throw new DownloadError(
        `resolveRepository: ${exchange.url} sent more than ${LONGEST_TEXT_BYTES} bytes; expected a file list of some kilobytes. ` +
          'Check HF_ENDPOINT.',
        exchange.url,
        exchange.status,
      );
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

interface StatusMeaning {
  readonly what: string;
  readonly expected: string;
  readonly advice: string;
}

function explainStatus(
  status: number,
  errorCode: string | null,
  subject: RequestSubject,
  { token, endpoint }: HubSettings,
): StatusMeaning {
  const { repositoryId, revision, file } = subject;
  const page = `${shownUrl(endpoint).replace(/\/$/, '')}/${repositoryId}`;
  if (errorCode === 'GatedRepo') {
    const expected = 'a token of somebody who has accepted its terms';
    return { what: `${repositoryId} is gated`, expected, advice: `Accept the terms on ${page} and set HF_TOKEN.` };
  }
  if (status === 401 || status === 403) {
    const what =
      token === undefined
        ? `${repositoryId} is private, gated or does not exist`
        : `the token gives no access to ${repositoryId}`;
    const advice =
      token === undefined ? 'Check the spelling, or set HF_TOKEN.' : `Check HF_TOKEN and its permissions, and ${page}.`;
    return { what, expected: 'a repository that may be read', advice };
  }
  if (status === 404 && errorCode === 'RevisionNotFound') {
    const advice = `Look up the revisions on ${page}, or use 'main'.`;
    return { what: `${repositoryId} has no revision '${revision}'`, expected: 'a branch, tag or commit of it', advice };
  }
  if (status === 404 && file !== undefined && errorCode !== 'RepoNotFound') {
    const advice = 'The server contradicts its own list: run again, or check HF_ENDPOINT.';
    return { what: `${repositoryId} has no file ${file} at '${revision}'`, expected: 'the file that its list names', advice };
  }
  if (status === 404) {
    const what = errorCode === 'RepoNotFound' ? `there is no repository ${repositoryId}` : `no ${repositoryId} at '${revision}'`;
    return {
      what,
      expected: 'an existing repository and revision',
      advice: `Check the spelling${token === undefined ? '; if it is private, set HF_TOKEN' : ''}.`,
    };
  }
  return {
    what: `no answer to the request for ${describeSubject(subject)}`,
    expected: 'status 200',
    advice: 'Check HF_ENDPOINT and the proxy.',
  };
}

/** The server's own words, shortened, on one line and without the token. */
function said(headers: Headers, { token }: HubSettings): string {
  const message = headers.get('x-error-message');
  if (!message) return '';
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  const line = message.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 200);
  return ` (“${token === undefined ? line : line.replaceAll(token, '…')}”)`;
}
