import { CheckpointError, ResourceError, type Blip2Error } from '@blip2/core';

const CURES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder. Check the path.',
  EACCES: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EPERM: 'permission was refused. Check the owner and the mode of the file and its folder.',
  EROFS: 'the file system is read-only. Choose another folder.',
  EISDIR: 'it is a folder. Pass the path of a file.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  EMFILE: 'too many files are open. Dispose checkpoints that are not needed any more.',
};

/** A system error as one of ours: a full disk as `ResourceError`, all else as `CheckpointError`, with the cause kept. */
export function fileProblem(action: 'read' | 'write', path: string, cause: unknown): Blip2Error {
  const code = systemCode(cause);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ResourceError(`${path}: cannot be written: the disk is full. Free some space, or choose another folder.`, {
      cause,
    });
  }
  const detail = cause instanceof Error ? cause.message : String(cause);
  const cure = CURES[code ?? ''] ?? `${detail}. Check the disk, then try again.`;
  return new CheckpointError(`${path}: cannot be ${action === 'read' ? 'read' : 'written'}: ${cure}`, path, { cause });
}

/** `ENOENT` and the like; `undefined` for an error that did not come from the system. */
export function systemCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
