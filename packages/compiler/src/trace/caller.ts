/** Frames of tfjs, of core's layers as they are installed, and of no file at all. */
const INNER_FRAMES = /@tensorflow|tfjs-(core|backend|layers)|@blip2[\\/+]core|node:internal|<anonymous>\)?$/;

/** Folders whose frames are not the user's: this one, or all of `dist`, and the source of core beside it. */
const INNER_FOLDERS: readonly string[] = ['.', '../../../core/src/'].map((path) =>
  decodeURI(new URL(path, import.meta.url).pathname),
);

/** Tests stand beside the source and are its users. */
const TEST_FILE = /\.test\.[jt]s/;

/**
 * Where a traced function was when something happened: the first frame of the stack outside of tfjs and of this package.
 * @returns `file:line:column`, or `the function` when no frame is left.
 */
export function callerOf({ stack }: Error): string {
  const frames = (stack ?? '').split('\n').filter((line) => /^\s+at /.test(line) || line.includes('@'));
  const frame = frames.find((line) => !isInner(line));
  const place = frame?.match(/\(?((?:file:\/\/|\/|[A-Za-z]:\\|https?:\/\/)[^()]+:\d+:\d+)\)?/)?.[1];
  return place ?? 'the function';
}

function isInner(frame: string): boolean {
  if (INNER_FRAMES.test(frame)) return true;
  const slashed = frame.replaceAll('\\', '/');
  return !TEST_FILE.test(frame) && INNER_FOLDERS.some((folder) => slashed.includes(folder));
}

/** Frames of tfjs between a user's line and its kernel: ten, the usual limit, are not enough inside gradients. */
const FRAMES = 100;

/** Runs a function while errors keep so many frames that its own are among them. */
export function withLongStacks<Result>(body: () => Result): Result {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  try {
    return body();
  } finally {
    Error.stackTraceLimit = before;
  }
}
