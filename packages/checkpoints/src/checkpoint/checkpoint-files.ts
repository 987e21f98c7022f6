import { InputError } from '@blip2/core';
import { byteSourceFromBytes, type ByteSource, type ReadOptions } from '../bytes/byte-source.ts';
import { isPlainFileName } from './weight-files.ts';

/** The files of one model folder, wherever they lie: what the ways to open a checkpoint differ in. */
export interface CheckpointFiles {
  /** Folder or URL, for messages. */
  readonly name: string;
  /** Path or URL of one file, for messages. */
  pathOf(fileName: string): string;
  /** The file's bytes, or `undefined` when there is no such file. */
  readFile(fileName: string, options: ReadOptions): Promise<Uint8Array | undefined>;
  /** Random access to the file, or `undefined` when there is no such file. */
  open(fileName: string, options: ReadOptions): Promise<ByteSource | undefined>;
  /** Told once, when every file of weights is open and before their headers are read. */
  allOpened?(): void;
  /** All file names, where the place can list them. */
  list?(): Promise<string[]>;
}

/** Files held in memory. */
export function filesInMemory(name: string, files: ReadonlyMap<string, Uint8Array>): CheckpointFiles {
  const pathOf = (fileName: string): string => `${name}/${fileName}`;
  return {
    name,
    pathOf,
    readFile: async (fileName) => files.get(fileName)?.slice(),
    async open(fileName) {
      const bytes = files.get(fileName);
      return bytes === undefined ? undefined : byteSourceFromBytes(pathOf(fileName), bytes);
    },
    list: async () => [...files.keys()],
  };
}

/** @throws {InputError} when a name given by a program is not a plain file name. */
export function assertPlainFileName(fileName: string): void {
  if (isPlainFileName(fileName)) return;
  throw new InputError(
    `readFile: '${fileName}' is not the name of a file in the checkpoint's folder. Pass a name such as 'config.json'.`,
  );
}
