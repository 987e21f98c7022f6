/** The file that worker threads of the pixel loader run. Not an entry point: it lies beside those in `dist`. */
export { preparePixels } from './pixels/prepare-pixels.ts';
