import { closeSync, copyFileSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBlip2Config } from '@blip2/checkpoints';
import { sizeOf } from '@blip2/core';
import { fixturePath } from '@blip2/testing';
import { BLIP2_CONFIGS, expectedWeights, type OfficialModel } from 'blip2/node';
import { afterAll, expect, it } from 'vitest';
import { main } from './index.ts';

const IMAGE = fixturePath('models/preprocessing/images/landscape.png');
const scratch = mkdtempSync(join(tmpdir(), 'blip2-slow-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A checkpoint of true dimensions whose weights are a hole in the file: gigabytes by name, kilobytes on disk. */
function hollowCheckpoint(model: OfficialModel): string {
  const folder = mkdtempSync(join(scratch, 'model-'));
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of expectedWeights(parseBlip2Config(BLIP2_CONFIGS[model]))) {
    const begin = end;
    end += 2 * sizeOf(shape);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  writeSync(file, Buffer.concat([prefix, text]));
  ftruncateSync(file, 8 + text.length + end);
  closeSync(file);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(BLIP2_CONFIGS[model]));
  copyFileSync(fixturePath('models/blip2-opt/tokenizer.json'), join(folder, 'tokenizer.json'));
  return folder;
}

it.each<[OfficialModel, RegExp]>([
  [
    'blip2-opt-6.7b',
    /needs 31\.0 GB for its weights in float32; 2\.7 GB stay in memory, 14\.2 GB are read from disk again for every token/,
  ],
  [
    'blip2-flan-t5-xxl',
    /needs 48\.9 GB for its weights in float32; 2\.7 GB stay in memory, 23\.1 GB are read from disk again for every token/,
  ],
])('%s is refused before the work starts, with figures and the way to start it anyway', async (model, figures) => {
  let error = '';
  const streams = { out: { write: () => undefined }, error: { write: (text: string) => (error += text) } };
  const code = await main(['caption', IMAGE, '--model', hollowCheckpoint(model), '--engine', 'eager'], streams);
  expect(error).toMatch(figures);
  expect(error).toMatch(/An image will take about [\d.]+ (min|h)\..*--allow-slow/);
  expect(code).toBe(2);
});
