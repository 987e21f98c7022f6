import { InputError } from '@blip2/core/errors';
import { shortened } from '@blip2/core/json';
import { replaceFile } from '@blip2/core/node';
import type { Id } from '../ids.ts';

/**
 * Writes captions as the servers of COCO and NoCaps and the official tools take them: `[{ image_id, caption }]`, an entry a line.
 * There is a whole file at any time: it is written under another name and then renamed.
 *
 * @param captions - By image. An empty one is allowed.
 * @throws {InputError} when there are none, one is no text, or the file cannot be written. @throws {ResourceError} when the disk is full.
 *
 * @example
 * await writeCaptionResults('captions_val2014_fakecap_results.json', await predictCaptions(items, captioner, settings));
 */
export async function writeCaptionResults(path: string, captions: ReadonlyMap<Id, string>): Promise<void> {
  await writeList('writeCaptionResults', path, captions, (image_id, caption) => ({ image_id, caption }));
}

/**
 * Writes answers as the server of VQAv2 and the official tool take them: `[{ question_id, answer }]`.
 *
 * @param answers - By question.
 * @throws as {@link writeCaptionResults}.
 */
export async function writeVqaResults(path: string, answers: ReadonlyMap<Id, string>): Promise<void> {
  await writeList('writeVqaResults', path, answers, (question_id, answer) => ({ question_id, answer }));
}

/**
 * Writes answers as the server of GQA and the official script take them: `[{ questionId, prediction }]`.
 *
 * @param predictions - By question, whose ids are texts in GQA.
 * @throws as {@link writeCaptionResults}, and when an id is a number.
 */
export async function writeGqaPredictions(path: string, predictions: ReadonlyMap<Id, string>): Promise<void> {
  await writeList('writeGqaPredictions', path, predictions, (questionId, prediction) => {
    if (typeof questionId !== 'string')
      throw new InputError(
        `writeGqaPredictions: question ${questionId} is a number, expected a text, as in GQA's files. Keep ids as they were read.`,
      );
    return { questionId, prediction };
  });
}

async function writeList(
  where: string,
  path: string,
  predictions: ReadonlyMap<Id, string>,
  entryOf: (id: Id, text: string) => object,
): Promise<void> {
  if (predictions.size === 0)
    throw new InputError(`${where}: there are no predictions, expected at least one. Nothing was written to ${path}.`);
  await replaceFile(path, lines(where, predictions, entryOf));
}

function* lines(
  where: string,
  predictions: ReadonlyMap<Id, string>,
  entryOf: (id: Id, text: string) => object,
): Generator<string> {
  let before = '[\n';
  for (const [id, text] of predictions) {
    if (typeof text !== 'string')
      throw new InputError(
        `${where}: the prediction of ${JSON.stringify(id)} is ${shortened(text)}, expected a text. Correct the model's output.`,
      );
    yield `${before}${JSON.stringify(entryOf(id, text))}`;
    before = ',\n';
  }
  yield '\n]\n';
}
