import { Blip2Error, errorCode } from '@blip2/core';
import type { Session } from './session.ts';

/**
 * Runs `work` for one image after the other. An image that cannot be read is reported and passed over, so that
 * one broken file does not lose the others' results; any other error ends the work.
 *
 * @returns 2 when an image was passed over, 0 otherwise.
 */
export async function eachImage(
  images: readonly string[],
  session: Session,
  work: (image: string, index: number) => Promise<void>,
): Promise<0 | 2> {
  let code: 0 | 2 = 0;
  for (const [index, image] of images.entries()) {
    session.abortSignal.throwIfAborted();
    if (images.length > 1) session.output.progress(`${index + 1} of ${images.length}`, index / images.length);
    try {
      await work(image, index);
    } catch (cause) {
      if (!Blip2Error.isInstance(cause) || errorCode(cause) !== 'image') throw cause;
      session.output.note(cause.message);
      code = 2;
    }
  }
  session.output.endProgress();
  return code;
}
