import { InputError } from '@blip2/core';

/** A repository of the Hub and, where the text named one, a revision of it. */
export interface RepositoryReference {
  /** `Organisation/name`, or `name` for the few old repositories without an organisation. */
  readonly id: string;
  /** Branch, tag or commit after an `@`. */
  readonly revision?: string;
}

const NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const COMMIT = /^[0-9a-f]{40}$/;
/** What git allows in a reference name, less what no file system should meet. */
const REVISION_PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._+-]*[A-Za-z0-9_+-])?$/;

/** True for the 40 hexadecimal digits of a git commit. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/**
 * True when the text can be the id of a Hub repository, with or without `@revision`. Says nothing of whether it exists,
 * and a relative path such as `models/mine` looks the same: test for a folder first.
 *
 * @example
 * isRepositoryId('Salesforce/blip2-opt-2.7b'); // true
 * isRepositoryId('./my-model'); // false
 */
export function isRepositoryId(text: string): boolean {
  const { id, revision } = split(text);
  return isValidId(id) && (revision === undefined || isValidRevision(revision));
}

/**
 * Reads `Organisation/name` or `Organisation/name@revision`.
 *
 * @throws {InputError} when the text is neither. Both parts become file names of the cache, so anything that could leave
 * its folder is refused here.
 */
export function parseRepositoryId(text: string): RepositoryReference {
  const { id, revision } = split(text);
  if (!isValidId(id)) {
    throw new InputError(
      `resolveRepository: ${JSON.stringify(text)} is not a repository id; expected 'Organisation/name' of letters, digits, ` +
        `'-', '_' and '.', such as 'Salesforce/blip2-opt-2.7b'. For a folder on this machine, open it by its path instead.`,
    );
  }
  if (revision !== undefined) checkRevision(revision, id);
  return { id, revision };
}

/**
 * Refuses revisions that are no branch, tag or commit name.
 *
 * @throws {InputError} naming the repository and the revision.
 */
export function checkRevision(revision: string, repositoryId: string): void {
  if (isValidRevision(revision)) return;
  throw new InputError(
    `resolveRepository: ${JSON.stringify(revision)} is not a revision of ${repositoryId}; expected a branch, a tag or the 40 ` +
      `hexadecimal digits of a commit. Use 'main' for the newest files.`,
  );
}

/** Name of a repository's folder in the cache: `models--Organisation--name`. Source: `repo_folder_name` of huggingface_hub. */
export function repositoryFolderName(id: string): string {
  return ['models', ...id.split('/')].join('--');
}

function split(text: string): { id: string; revision: string | undefined } {
  const at = text.indexOf('@');
  return at < 0 ? { id: text, revision: undefined } : { id: text.slice(0, at), revision: text.slice(at + 1) };
}

function isValidId(id: string): boolean {
  const parts = id.split('/');
  return parts.length <= 2 && !/--|\.\.|\.git$/.test(id) && parts.every((part) => NAME.test(part));
}

function isValidRevision(revision: string): boolean {
  return revision.length <= 200 && !revision.includes('..') && revision.split('/').every((part) => REVISION_PART.test(part));
}
