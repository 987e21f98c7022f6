export { fileProblem, fileSource } from './node/file-source.ts';
export { replaceFile } from './node/replace-file.ts';
