import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { systemCode } from './file-system-errors.ts';
import { delay } from './retry.ts';

const HEARTBEAT_MS = 2_000;
/** A lock that shows no sign of life for this long is taken over. */
const STALE_MS = 30_000;
const POLL_MS = 50;

/** The right to fetch one blob. */
export interface BlobLock {
  release(): Promise<void>;
}

/**
 * Waits until no other process fetches the same blob, then holds the lock file. The holder touches it every two seconds; a lock
 * whose process is gone, or that was not touched for half a minute, is taken over, so a killed process blocks nobody.
 *
 * Whether a blob is right is decided by its hash alone. Should the lock fail (a clock, a network file system), one of two processes
 * may fetch for nothing or end with an error, and the next run finds the blob of the other.
 *
 * Rejects with the signal's reason on abort.
 */
export async function lockBlob(path: string, abortSignal: AbortSignal | undefined): Promise<BlobLock> {
  await mkdir(dirname(path), { recursive: true });
  const content = lockContent();
  const observer = new LockObserver(path);
  while (!(await createLock(path, content))) {
    abortSignal?.throwIfAborted();
    if (!(await observer.takeAwayIfDead())) await delay(POLL_MS, abortSignal);
  }
  return keepAlive(path, content);
}

/**
 * A lock file without waiting for it: `undefined` when somebody else holds it. The lock of a process of this machine that is gone is
 * taken over. Of other machines nothing can be known at once, so theirs stand until they are removed.
 */
export async function lockIfFree(path: string): Promise<BlobLock | undefined> {
  const content = lockContent();
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await createLock(path, content)) return keepAlive(path, content);
    const holder = (await readLock(path)) ?? '';
    if (!isHolderGone(holder)) return undefined;
    await takeAway(path, holder);
  }
  return undefined;
}

function lockContent(): string {
  return JSON.stringify({ process: process.pid, host: hostname(), id: randomUUID() });
}

/** Touches a lock file that is ours until it is released. */
function keepAlive(path: string, content: string): BlobLock {
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    async release() {
      clearInterval(heartbeat);
      // Only our own: it may have been taken over while this process slept.
      if ((await readLock(path)) === content) await rm(path, { force: true }).catch(() => undefined);
    },
  };
}

/** Watches somebody else's lock for signs of life, by this process's own clock. */
class LockObserver {
  readonly #path: string;
  #seen = '';
  #since = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Removes the lock when its holder is gone, and says whether it did. */
  async takeAwayIfDead(): Promise<boolean> {
    // Unreadable for us, it still shows when it was touched.
    const content = (await readLock(this.#path)) ?? '';
    const touched = await stat(this.#path).catch(() => undefined);
    if (touched === undefined) return false;
    const seen = `${content} ${touched.mtimeMs}`;
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#since = performance.now();
    }
    if (!isHolderGone(content) && performance.now() - this.#since < STALE_MS) return false;
    await takeAway(this.#path, content);
    return true;
  }
}

/** Moves a dead lock aside before removing it, and puts it back if it is another one by now. */
async function takeAway(path: string, content: string): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  const moved = (await readLock(aside)) ?? '';
  if (moved !== content) await createLock(path, moved);
  await rm(aside, { force: true });
}

function isHolderGone(content: string): boolean {
  let holder: { process?: unknown; host?: unknown };
  try {
    holder = JSON.parse(content) as typeof holder;
  } catch {
    return false; // Just being written, or not ours: only time tells.
  }
  if (holder?.host !== hostname() || typeof holder.process !== 'number') return false;
  try {
    process.kill(holder.process, 0);
    return false;
  } catch (error) {
    return systemCode(error) === 'ESRCH';
  }
}

async function createLock(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx' });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readLock(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
