import { InputError, type TextBatch } from '@blip2/core';

/** @throws {InputError} when there are no texts, an empty target, or not as many prompts as targets. */
export function assertTexts({ prompts, targets }: TextBatch): void {
  if (targets.length === 0) throw new InputError('loss: got no targets. Pass one text an image.');
  if (prompts.length !== targets.length) {
    throw new InputError(
      `loss: got ${prompts.length} prompts and ${targets.length} targets. Pass one prompt a target; an empty string stands for none.`,
    );
  }
  const empty = targets.indexOf('');
  if (empty >= 0) throw new InputError(`loss: target ${empty} is empty. Pass a text to predict.`);
}
