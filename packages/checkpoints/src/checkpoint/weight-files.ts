/** Weights in one file. */
export const WEIGHTS_FILE = 'model.safetensors';

/** Which file of several holds which weight. */
export const INDEX_FILE = 'model.safetensors.index.json';

/** Names of the pickled format, which blip2.js does not read: loading one can run any program hidden in it. */
export const PICKLED_FILES: RegExp = /\.(?:bin|pth|pt|ckpt)$/;

/** Pickled files a repository on a server may have; a server cannot be asked for a list. */
export const PICKLED_CANDIDATES: readonly string[] = ['pytorch_model.bin', 'pytorch_model.bin.index.json'];

/** True for a plain file name: no folder, no way out of one, no URL. Index files come from strangers. */
export function isPlainFileName(name: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  return name !== '' && name !== '.' && name !== '..' && !/[/\\:\u0000-\u001f]/.test(name);
}
