import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MODELS, PLAN, type PlannedPart } from './plan.ts';
import { writeModel } from './write-model.ts';

/**
 * Trains everything and writes the models: `node train-all.ts FOLDER [MODELS]`.
 *
 * FOLDER gets a folder for each part. What is there is not trained again, and a part that was interrupted goes on from its last
 * checkpoint. Parts that do not need each other are trained side by side, each on one core: two steps on a core each take less time
 * than one after the other on both. MODELS, by default those of this package, gets a folder in the Hub's layout for each model.
 */
const [root = '', models = fileURLToPath(new URL('../models', import.meta.url))] = process.argv.slice(2);
const folder = (name: string): string => join(root, name);
const isTrained = (part: string): boolean => existsSync(join(folder(part), 'model.safetensors'));
mkdirSync(root, { recursive: true });

const begin = performance.now();
const running = new Map<string, Promise<void>>();
for (;;) {
  const waiting = PLAN.filter(({ part }) => !isTrained(part) && !running.has(part));
  if (waiting.length === 0 && running.size === 0) break;
  const next = waiting.find(({ needs }) => needs.every((need) => isTrained(need) && !running.has(need)));
  if (next !== undefined && running.size < availableParallelism()) {
    running.set(
      next.part,
      train(next).finally(() => running.delete(next.part)),
    );
  } else await Promise.race(running.values());
}
for (const { kind, bridge } of MODELS) {
  const target = join(models, kind);
  await writeModel(target, { vision: folder('vision'), bridge: folder(bridge), language: folder(kind) });
  console.log(`${target}: written`);
}
console.log(`all: ${minutesSince(begin)} minutes`);

/** In a process of its own: its memory goes back when it is done. */
async function train({ part, steps }: PlannedPart): Promise<void> {
  const began = performance.now();
  const script = fileURLToPath(new URL('run.ts', import.meta.url));
  const env = { ...process.env, TINY_THREADS: '1' };
  const child = spawn(process.execPath, [script, root, part, `${steps}`], { stdio: 'inherit', env });
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) process.exit(status ?? 1);
  console.log(`${part}: ${minutesSince(began)} minutes`);
}

function minutesSince(time: number): string {
  return ((performance.now() - time) / 60_000).toFixed(1);
}
