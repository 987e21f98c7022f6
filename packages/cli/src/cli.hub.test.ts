import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { fixturePath } from '@blip2/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HubTestServer, startHubTestServer } from '../../checkpoints/src/hub/hub-test-server.ts';

const BIN = fileURLToPath(new URL('bin.ts', import.meta.url));
const IMAGE = fixturePath('models/preprocessing/images/landscape.png');
const REPOSITORY = 'someone/blip2-small';
const cache = mkdtempSync(join(tmpdir(), 'blip2-cli-hub-'));
let hub: HubTestServer;

beforeAll(async () => {
  hub = await startHubTestServer();
  const folder = fixturePath('models/blip2-opt');
  const files = readdirSync(folder).filter((name) => !name.startsWith('golden'));
  hub.add(REPOSITORY, Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name))])));
});

afterAll(async () => {
  await hub[Symbol.asyncDispose]();
  rmSync(cache, { recursive: true });
});

/** The command as a process of its own, as a user runs it. */
async function blip2(...words: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache };
  const child = spawn(process.execPath, [BIN, ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let error = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out, error };
}

it('downloads a repository once, writes nothing but the answer, and works offline afterwards', async () => {
  const words = ['caption', IMAGE, '--model', REPOSITORY, '--max-new-tokens', '8'];
  const online = await blip2(...words);
  expect(online).toEqual({ code: 0, out: expect.stringMatching(/^.+\n$/), error: '' });
  const requests = hub.requests.length;
  const offline = await blip2(...words, '--offline');
  expect(offline).toEqual(online);
  expect(hub.requests).toHaveLength(requests);
});

it('says nothing but the answer on the cpu backend either', async () => {
  const words = ['caption', IMAGE, '--model', fixturePath('models/blip2-opt'), '--max-new-tokens', '2', '--backend', 'cpu'];
  expect(await blip2(...words)).toEqual({ code: 0, out: expect.stringMatching(/^.+\n$/), error: '' });
});

it('says what to do when a repository is neither here nor there', async () => {
  const missing = await blip2('caption', IMAGE, '--model', 'someone/else');
  expect(missing).toMatchObject({ code: 2, out: '' });
  expect(missing.error).toContain('someone/else');
  const offline = await blip2('caption', IMAGE, '--model', 'someone/else', '--offline');
  expect(offline).toMatchObject({ code: 2, out: '' });
  expect(offline.error).toContain('offline');
});
