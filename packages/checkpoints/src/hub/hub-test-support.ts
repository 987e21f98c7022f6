import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Progress, RunOptions } from '@blip2/core';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import type { HubOptions } from './hub-settings.ts';
import { blobIdOf, type HubTestServer, startHubTestServer } from './hub-test-server.ts';
import { resolveWithRetries } from './resolve-repository.ts';

/** The repository of the tests. */
export const ID = 'Org/blip2-tiny';

/** Impatient enough for tests. */
export const QUICK = { attempts: 4, firstDelayMs: 1, longestDelayMs: 4, longestRetryAfterMs: 2_000 };

/** Bytes of which no range looks like another one. */
export const WEIGHTS: Buffer = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 7 + (index >> 8)) & 255));

/** The name of {@link WEIGHTS} in `blobs`. */
export const WEIGHTS_ID: string = blobIdOf({ content: WEIGHTS, large: true });

/** What a repository of the old days has in it: weights in two formats, tokenizer, other things. */
export const FILES: Readonly<Record<string, string | Buffer>> = {
  'config.json': '{"model_type":"blip-2"}\n',
  'tokenizer.json': '{}',
  'merges.txt': '#version: 0.2\n',
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': Buffer.alloc(1000, 1),
  'pytorch_model.bin.index.json': '{}',
  'README.md': '# card',
  'onnx/model.onnx': 'not wanted',
};

/** Those of {@link FILES} that a model is loaded from. */
export const WANTED: readonly string[] = ['config.json', 'merges.txt', 'model.safetensors', 'tokenizer.json'];

/** A test server and an empty cache, fresh for each test. */
export interface HubTest {
  hub: HubTestServer;
  cacheFolder: string;
  resolve(options?: HubOptions & RunOptions, id?: string): Promise<string>;
  repositoryFolder(): string;
  /** Names in `blobs`, none when the folder does not exist. */
  blobs(): Promise<string[]>;
  /** Waits until the partial file of the weights has as many bytes. */
  partialWith(bytes: number): Promise<void>;
  /** A message without this test's addresses and folders. */
  plain(error: Error): string;
}

/** Registers the hooks that make a {@link HubTest} before each test and clean up after it. */
export function useHub(): HubTest {
  const context = {
    resolve: (options = {}, id = ID) =>
      resolveWithRetries(id, { cacheFolder: context.cacheFolder, endpoint: context.hub.endpoint, ...options }, QUICK),
    repositoryFolder: () => join(context.cacheFolder, 'models--Org--blip2-tiny'),
    blobs: () => readdir(join(context.repositoryFolder(), 'blobs')).catch(() => []),
    async partialWith(bytes) {
      const size = async (): Promise<number> => {
        const [partial] = (await context.blobs()).filter((name) => name.startsWith(WEIGHTS_ID) && name.endsWith('incomplete'));
        return partial === undefined ? 0 : (await stat(join(context.repositoryFolder(), 'blobs', partial))).size;
      };
      await expect.poll(size, { interval: 5, timeout: 5000 }).toBe(bytes);
    },
    plain: ({ message }) =>
      message
        .replaceAll(context.cacheFolder, '<cache>')
        .replaceAll(context.hub.endpoint, '<hub>')
        .replaceAll(context.hub.contentOrigin, '<content>')
        .replaceAll(/\b[0-9a-f]{40,64}\b/g, '<hash>'),
  } as HubTest;
  beforeEach(async () => {
    context.hub = await startHubTestServer();
    context.cacheFolder = await mkdtemp(join(tmpdir(), 'blip2-hub-'));
    for (const name of VARIABLES) vi.stubEnv(name, undefined);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await context.hub[Symbol.asyncDispose]();
    await rm(context.cacheFolder, { recursive: true, force: true });
  });
  return context;
}

const VARIABLES = [
  'HF_ENDPOINT',
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_HUB_OFFLINE',
  'TRANSFORMERS_OFFLINE',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_HOME',
  'XDG_CACHE_HOME',
  'HF_HUB_DISABLE_SYMLINKS',
  'HF_HUB_DOWNLOAD_TIMEOUT',
];

/** The error of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    (value) => expect.unreachable(`resolved with ${String(value)}`),
    (error: unknown) => error as Error,
  );
}

/** The contract of `Progress` for one call that succeeded. */
export function checkProgress(events: readonly Progress[]): void {
  expect(events.length).toBeGreaterThan(0);
  for (const [index, event] of events.entries()) {
    expect(event.phase).toBe('download');
    expect(event.totalBytes).toBe(events[0]!.totalBytes);
    expect(event.loadedBytes).toBeGreaterThanOrEqual(events[index - 1]?.loadedBytes ?? 0);
  }
  expect(events.at(-1)!.loadedBytes).toBe(events[0]!.totalBytes);
  // Completed once: nothing is reported after the end.
  expect(events.filter(({ loadedBytes, totalBytes }) => loadedBytes === totalBytes)).toHaveLength(1);
}
