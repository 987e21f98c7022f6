import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeModel } from '../onnx/write-model.ts';
import type { OnnxGraph } from '../onnx/graph.ts';
import { createNodeRuntime } from './node-runtime.ts';
import { graphOf, node, value } from './runtime-test-support.ts';
import { locateWeightFiles } from './weight-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(await realpath(tmpdir()), 'blip2-weights-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** y = x·Wᵀ + b with both in files, at odd places. */
function linear(weightFile: string, biasFile: string): OnnxGraph {
  return graphOf(
    [value('x', ['rows', 3])],
    [
      node('FusedMatMul', ['x', 'w'], ['product'], { domain: 'com.microsoft', attributes: { transB: 1 } }),
      node('Add', ['product', 'b'], ['y']),
    ],
    [value('y', ['rows', 2])],
    [
      { name: 'w', type: 'float32', shape: [2, 3], location: { file: weightFile, byteOffset: 12, byteLength: 24 } },
      { name: 'b', type: 'float32', shape: [2], location: { file: biasFile, byteOffset: 4, byteLength: 8 } },
    ],
  );
}

async function writeFloats(path: string, ...values: number[]): Promise<string> {
  await writeFile(path, new Uint8Array(Float32Array.from(values).buffer));
  return path;
}

describe('weights in files', () => {
  it('are found in several folders, through links, under any name', async () => {
    await mkdir(join(folder, 'blobs'));
    await mkdir(join(folder, 'a folder, größer'));
    await writeFloats(join(folder, 'blobs', '5e1f'), 0, 0, 0, 1, 2, 3, 4, 5, 6);
    await symlink(join('..', 'blobs', '5e1f'), join(folder, 'a folder, größer', 'model.safetensors'));
    const bias = await writeFloats(join(folder, 'bias #1.bin'), 0, 10, 20);
    const runtime = await createNodeRuntime();
    for (const prepack of [undefined, true]) {
      const graph = linear(join(folder, 'a folder, größer', 'model.safetensors'), bias);
      const session = await runtime.createSession(graph, { name: 'linear', prepack });
      const [y] = await session.run([{ shape: [2, 3], data: Float32Array.of(1, 0, 0, 1, 1, 1) }]);
      expect([...(await y!.data())]).toEqual([11, 24, 16, 35]);
      y!.dispose();
      await session.dispose();
    }
    runtime.dispose();
  });

  it('are mapped, not read', async (context) => {
    if (!existsSync('/proc/self/smaps')) return context.skip('only Linux shows what is mapped');
    const file = join(folder, 'large.bin');
    const rows = 2048;
    await writeFile(file, new Uint8Array(rows * rows * 4));
    const graph = graphOf(
      [value('x', [1, rows])],
      [node('FusedMatMul', ['x', 'w'], ['y'], { domain: 'com.microsoft', attributes: { transB: 1 } })],
      [value('y', [1, rows])],
      [{ name: 'w', type: 'float32', shape: [rows, rows], location: { file, byteOffset: 0, byteLength: rows * rows * 4 } }],
    );
    const runtime = await createNodeRuntime();
    const sessions = [
      await runtime.createSession(graph, { name: 'first' }),
      await runtime.createSession(graph, { name: 'second' }),
    ];
    for (const session of sessions) (await session.run([{ shape: [1, rows], data: new Float32Array(rows) }]))[0]!.dispose();
    const mappings = readFileSync('/proc/self/smaps', 'utf8')
      .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
      .filter((one) => one.split('\n')[0]!.endsWith(file));
    expect(mappings.length).toBe(2);
    for (const mapping of mappings) {
      expect(mapping).toMatch(/^Rss: +16384 kB$/m);
      expect(mapping).toMatch(/^Private_Dirty: +0 kB$/m);
    }
    for (const session of sessions) await session.dispose();
    expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain(file);
    runtime.dispose();
  });

  it('are found by a model that was kept, also as ONNX Runtime rearranged it', async () => {
    const weights = await writeFloats(join(folder, 'w.bin'), 0, 0, 0, 1, 2, 3, 4, 5, 6);
    const graph = linear(weights, weights);
    const located = await locateWeightFiles(graph.initializers.map(({ location }) => location!));
    const model = writeModel(graph, { externalPath: located.pathOf });
    const runtime = await createNodeRuntime();
    const optimizedModelFile = join(folder, 'optimized.onnx');
    const run = async (bytes: Uint8Array, more: object): Promise<number[]> => {
      const session = await runtime.loadModel(bytes, { name: 'linear', weightFolder: located.folder, ...more });
      const [y] = await session.run([{ shape: [1, 3], data: Float32Array.of(1, 1, 1) }]);
      const values = [...(await y!.data())];
      y!.dispose();
      await session.dispose();
      return values;
    };
    const expected = [6, 15]; // and a bias of zeros
    expect(await run(model, { optimizedModelFile })).toEqual(expected);
    const optimized = readFileSync(optimizedModelFile);
    expect(optimized.length).toBeLessThan(2000);
    expect(await run(optimized, { isOptimized: true })).toEqual(expected);
    runtime.dispose();
  });

  it('must be files on this machine', async () => {
    const runtime = await createNodeRuntime();
    const attempt = async (file: string): Promise<string> => {
      const error = await runtime.createSession(linear(file, file), { name: 'linear' }).catch((cause: Error) => cause);
      return String(error).replaceAll(folder, '…');
    };
    expect(await attempt('https://huggingface.co/a/b/resolve/main/model.safetensors')).toMatchInlineSnapshot(
      `"CheckpointError: locateWeightFiles: https://huggingface.co/a/b/resolve/main/model.safetensors is an address, expected a file on this machine: a compiled graph maps its weights into memory. Download the checkpoint first, for example with resolveRepository, and open the folder."`,
    );
    expect(await attempt(join(folder, 'missing'))).toMatchInlineSnapshot(
      `"CheckpointError: locateWeightFiles: …/missing cannot be found (ENOENT), expected a file of weights. Check the path; a checkpoint must stay where it was opened."`,
    );
    expect(await attempt(folder)).toMatchInlineSnapshot(
      `"CheckpointError: locateWeightFiles: … is no file, expected a file of weights. Pass the path of a file."`,
    );
    const short = await writeFloats(join(folder, 'short'), 1);
    expect(await attempt(short)).toMatchInlineSnapshot(
      `"CheckpointError: locateWeightFiles: …/short has 4 bytes, expected at least 36: the file is cut off, or was replaced after it was opened. Fetch it again."`,
    );
    runtime.dispose();
  });
});
