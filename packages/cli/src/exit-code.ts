import { DownloadError, errorCode } from '@blip2/core';

/** What the process returns: 0 done, 1 the work failed, 2 the command line or an input is unusable, 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 130;

/** The exit code for an error. */
export function exitCodeOf(error: unknown): ExitCode {
  if (isAbort(error)) return 130;
  switch (errorCode(error)) {
    case 'config':
    case 'weights':
    case 'checkpoint':
    case 'dataset':
    case 'image':
    case 'input':
    case 'resources':
      return 2;
    case 'download':
      // A server that failed or a line that broke may work the next time; everything else needs the user.
      return DownloadError.isInstance(error) && isPassing(error) ? 1 : 2;
    default:
      return 1;
  }
}

/** True for what the network did: a server's own failure, or a broken line, which the error then has as its cause. */
function isPassing({ status, cause }: DownloadError): boolean {
  if (DownloadError.isInstance(cause)) return isPassing(cause);
  return status === undefined ? cause !== undefined : status >= 500 || status === 429;
}

/** True for the error of an aborted call. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

/** The message for a person; a stack only for errors that are not ours. */
export function describeError(error: unknown): string {
  if (isAbort(error)) return 'Interrupted.';
  if (errorCode(error) !== undefined && error instanceof Error) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
