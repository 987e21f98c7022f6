import { cpSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckpointError, DisposedError } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFileByteSource } from './file-byte-source.ts';
import { openCheckpoint } from './open-checkpoint.ts';
import { openCheckpointFolder, openSafetensorsFile } from './open-folder.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blip2-open-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SHARDED = 'blip2-flan-t5-bfloat16-sharded';

function copyFixture(name: string): void {
  cpSync(fixturePath('models', name), folder, { recursive: true });
}

/** Files of a folder that this process has open. */
function openFiles(path: string): string[] {
  const descriptors = readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return []; // the descriptor of this listing
    }
  });
  return descriptors.filter((file) => file.startsWith(path));
}

/** Waits for closings, which are asynchronous. */
async function noOpenFiles(path: string): Promise<void> {
  for (let turn = 0; turn < 50 && openFiles(path).length > 0; turn++) await new Promise((done) => setTimeout(done, 5));
  expect(openFiles(path)).toEqual([]);
}

async function failure(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as Error).message.replaceAll(folder, 'FOLDER');
}

test.runIf(process.platform === 'linux')('one handle a shard while open, none after dispose or an error', async () => {
  copyFixture(SHARDED);
  const checkpoint = await openCheckpointFolder(folder);
  await Promise.all(checkpoint.weights.names.map((name) => checkpoint.weights.get(name)!.read()));
  expect(openFiles(folder).length).toBe(4);
  checkpoint.dispose();
  await noOpenFiles(folder);

  truncateSync(join(folder, 'model-00003-of-00004.safetensors'), 1000);
  await failure(openCheckpointFolder(folder));
  await noOpenFiles(folder);

  rmSync(join(folder, 'model-00003-of-00004.safetensors'));
  await failure(openCheckpointFolder(folder));
  await noOpenFiles(folder);

  for (let turn = 0; turn < 20; turn++) (await openSafetensorsFile(join(folder, 'model-00001-of-00004.safetensors'))).dispose();
  await noOpenFiles(folder);
});

test.runIf(process.platform === 'linux')('disposing in the middle of reads closes the files when they end', async () => {
  copyFixture(SHARDED);
  const checkpoint = await openCheckpointFolder(folder);
  const reads = checkpoint.weights.names.map((name) => checkpoint.weights.get(name)!.read());
  checkpoint.dispose();
  const results = await Promise.allSettled(reads);
  for (const result of results) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(DisposedError);
  await noOpenFiles(folder);
});

test('links are followed, as the Hub cache needs; a dangling one is a missing file', async () => {
  symlinkSync(fixturePath('models/blip2-opt/model.safetensors'), join(folder, 'model.safetensors'));
  const checkpoint = await openCheckpointFolder(folder, { name: 'Some/model' });
  expect([checkpoint.name, checkpoint.weights.names.length]).toEqual(['Some/model', 183]);
  checkpoint.dispose();
  rmSync(join(folder, 'model.safetensors'));
  symlinkSync(join(folder, 'gone'), join(folder, 'model.safetensors'));
  expect(await failure(openCheckpointFolder(folder))).toContain('found model.safetensors');
});

test('a file cut off after it was opened is noticed', async () => {
  copyFixture('blip2-opt');
  const checkpoint = await openCheckpointFolder(folder);
  truncateSync(join(folder, 'model.safetensors'), 100_000);
  expect(await failure(checkpoint.weights.get('query_tokens')!.read())).toMatchInlineSnapshot(
    `"FOLDER/model.safetensors: found only 0 of the 768 bytes expected at offset 529672. The file changed or was cut off while it was open; restore it and open it again."`,
  );
  checkpoint.dispose();
});

test('ranges outside a file, and what is no file, are refused', async () => {
  writeFileSync(join(folder, 'x'), 'abc');
  const source = await openFileByteSource(join(folder, 'x'));
  expect(await source.read(1, 2)).toEqual(new TextEncoder().encode('bc'));
  expect(await source.read(3, 0)).toEqual(new Uint8Array(0));
  expect(await failure(source.read(2, 2))).toMatchInlineSnapshot(
    `"FOLDER/x: cannot read 2 bytes at offset 2 of a file of 3 bytes."`,
  );
  expect(await failure(source.read(-1, 1))).toContain('cannot read 1 bytes at offset -1');
  source.dispose();
  await expect(source.read(0, 1)).rejects.toThrow(DisposedError);
  expect(await failure(openFileByteSource(folder))).toMatchInlineSnapshot(`"FOLDER is not a file. Pass the path of a file."`);
});

test('places that are no model folder', async () => {
  writeFileSync(join(folder, 'x'), 'abc');
  const messages = await Promise.all([
    failure(openCheckpointFolder(join(folder, 'none'))),
    failure(openCheckpointFolder(join(folder, 'x'))),
    failure(openCheckpoint(join(folder, 'none'))),
    failure(openCheckpoint('./models/none')),
    failure(openCheckpoint('nothing')),
  ]);
  expect(messages).toMatchInlineSnapshot(`
    [
      "FOLDER/none: cannot be read: there is no such file or folder. Check the path.",
      "FOLDER/x: is a file, expected a model's folder. Pass the folder the file lies in.",
      "openCheckpoint: 'FOLDER/none' is no folder on this machine and cannot be the id of a Hub repository. Pass the path of a model's folder, or an id such as 'Salesforce/blip2-opt-2.7b'.",
      "openCheckpoint: './models/none' is no folder on this machine and cannot be the id of a Hub repository. Pass the path of a model's folder, or an id such as 'Salesforce/blip2-opt-2.7b'.",
      "openCheckpoint: 'nothing' is no folder on this machine and cannot be the id of a Hub repository. Pass the path of a model's folder, or an id such as 'Salesforce/blip2-opt-2.7b'.",
    ]
  `);
});

test('openCheckpoint takes a folder, and an aborted signal stops it', async () => {
  const checkpoint = await openCheckpoint(fixturePath('models/blip2-opt'));
  expect(checkpoint.weights.names.length).toBe(183);
  checkpoint.dispose();
  const reason = new Error('enough');
  const abortSignal = AbortSignal.abort(reason);
  await expect(openCheckpoint(fixturePath('models/blip2-opt'), { abortSignal })).rejects.toBe(reason);
});

test('a repository that the Hub does not have may have been meant as a folder', async () => {
  const answer = async (): Promise<Response> => new Response('{"error":"Repository not found"}', { status: 404 });
  const error: unknown = await openCheckpoint('some/model', {
    fetch: answer,
    cacheFolder: folder,
    endpoint: 'http://hub.test',
  }).catch((cause: unknown) => cause);
  expect((error as Error).message).toContain("'some/model' is no folder on this machine, and as a Hub repository: ");
});
