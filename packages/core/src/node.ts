export { fileProblem, fileSource } from './node/file-source.ts';
