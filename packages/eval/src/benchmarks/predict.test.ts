import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answerer, Captioner, CaptionerOptions } from '@blip2/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal } from '../node/journal.ts';
import { predictAnswers, predictCaptions } from './predict.ts';
import type { RunProgress } from './predict-items.ts';
import { ANSWER_SETTINGS, CAPTION_SETTINGS } from './settings.ts';

const SETTINGS = CAPTION_SETTINGS['zero-shot'];
const IDENTITY = { benchmark: 'coco-caption', model: 'a', settings: SETTINGS };
const ITEMS = Array.from({ length: 10 }, (_, index) => ({ id: index + 1, image: `${index + 1}.jpg` }));

/** Describes paths, and remembers what it was asked. */
class PathCaptioner implements Captioner<string> {
  readonly asked: string[] = [];
  readonly options: (CaptionerOptions | undefined)[] = [];
  readonly #failAt: string | undefined;

  constructor(failAt?: string) {
    this.#failAt = failAt;
  }

  caption(images: readonly string[], options?: CaptionerOptions): Promise<string[]> {
    if (this.#failAt !== undefined && images.includes(this.#failAt)) return Promise.reject(new Error('out of memory'));
    this.asked.push(...images);
    this.options.push(options);
    return Promise.resolve(images.map((image) => `a picture of ${image}`));
  }
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blip2-journal-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('predictCaptions', () => {
  test('asks in batches, with the settings of the protocol, and keeps the order', async () => {
    const captioner = new PathCaptioner();
    const progress: RunProgress[] = [];
    const captions = await predictCaptions(ITEMS, captioner, SETTINGS, { batchSize: 4, onProgress: (one) => progress.push(one) });
    expect([...captions]).toEqual(ITEMS.map(({ id, image }) => [id, `a picture of ${image}`]));
    expect(captioner.options).toHaveLength(3);
    expect(captioner.options[0]).toMatchObject({ prompt: 'a photo of', beams: 5, lengthPenalty: 1, maxNewTokens: 30 });
    expect(captioner.options[0]).not.toHaveProperty('imageSize');
    expect(progress.map(({ done }) => done)).toEqual([0, 4, 8, 10]);
    expect(progress.at(-1)).toMatchObject({ part: 'captions', total: 10, secondsLeft: 0 });
  });

  test('goes on after a failure without asking again', async () => {
    const path = join(folder, 'journal.jsonl');
    const failing = new PathCaptioner('9.jpg');
    {
      await using journal = await openJournal(path, IDENTITY);
      await expect(predictCaptions(ITEMS, failing, SETTINGS, { batchSize: 4, journal })).rejects.toThrow('out of memory');
    }
    expect(failing.asked).toHaveLength(8);
    const captioner = new PathCaptioner();
    await using journal = await openJournal(path, IDENTITY, { resume: true });
    expect(journal.found).toBe(8);
    const captions = await predictCaptions(ITEMS, captioner, SETTINGS, { batchSize: 4, journal });
    expect(captioner.asked).toEqual(['9.jpg', '10.jpg']);
    expect([...captions.keys()]).toEqual(ITEMS.map(({ id }) => id));
  });

  test('a line that was cut off is done again, at every place where it could be', async () => {
    const whole = join(folder, 'whole.jsonl');
    {
      await using journal = await openJournal(whole, IDENTITY);
      await predictCaptions(ITEMS.slice(0, 3), new PathCaptioner(), SETTINGS, { batchSize: 1, journal });
    }
    const bytes = await readFile(whole);
    const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
    for (let length = lastLine; length < bytes.length; length += 7) {
      const path = join(folder, `${length}.jsonl`);
      await writeFile(path, bytes.subarray(0, length));
      const captioner = new PathCaptioner();
      {
        await using journal = await openJournal(path, IDENTITY, { resume: true });
        await predictCaptions(ITEMS.slice(0, 3), captioner, SETTINGS, { journal });
      }
      expect(captioner.asked).toEqual(['3.jpg']);
      expect(await readFile(path)).toEqual(bytes);
    }
  });

  test('ids are told apart by type', async () => {
    const captions = await predictCaptions(
      [
        { id: 1, image: 'number' },
        { id: '1', image: 'text' },
      ],
      new PathCaptioner(),
      SETTINGS,
    );
    expect([...captions.values()]).toEqual(['a picture of number', 'a picture of text']);
  });

  test('stops between batches when aborted', async () => {
    const controller = new AbortController();
    const captioner = new PathCaptioner();
    const run = predictCaptions(ITEMS, captioner, SETTINGS, {
      batchSize: 2,
      abortSignal: controller.signal,
      onProgress: ({ done }) => done === 4 && controller.abort(),
    });
    await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(captioner.asked).toHaveLength(4);
  });

  test('refuses repeated ids, and models that count differently', async () => {
    const repeated = predictCaptions([ITEMS[0]!, ITEMS[0]!], new PathCaptioner(), SETTINGS);
    await expect(repeated).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: captions: 1 id comes more than once (1), expected one entry an id. Remove the duplicates.]`,
    );
    const short: Captioner = { caption: () => Promise.resolve(['one']) };
    await expect(predictCaptions(ITEMS, short, SETTINGS)).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: captions: the model gave 1 predictions for 8 items, expected one each, in their order.]`,
    );
    await expect(predictCaptions(ITEMS, short, SETTINGS, { batchSize: 0 })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[InputError: captions: batchSize is 0, expected a whole number of at least 1.]`,
    );
  });
});

test('predictAnswers asks questions with their images', async () => {
  const answerer: Answerer<string> = {
    answer: (images, questions, options) =>
      Promise.resolve(questions.map((question, index) => `${images[index]} ${question} ${options?.lengthPenalty}`)),
  };
  const items = [
    { id: 10, image: 'a.jpg', question: 'what?' },
    { id: 11, image: 'a.jpg', question: 'where?' },
  ];
  const answers = await predictAnswers(items, answerer, ANSWER_SETTINGS['zero-shot']);
  expect([...answers]).toEqual([
    [10, 'a.jpg what? -1'],
    [11, 'a.jpg where? -1'],
  ]);
});

describe('openJournal', () => {
  test('refuses a run that was begun, another run, and other files', async () => {
    const path = join(folder, 'journal.jsonl');
    await (await openJournal(path, IDENTITY))[Symbol.asyncDispose]();
    const messageOf = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => 'no error',
        (error: Error) => error.message.replaceAll(folder, 'FOLDER'),
      );
    expect(await messageOf(openJournal(path, IDENTITY))).toMatchInlineSnapshot(
      `"FOLDER/journal.jsonl: a run was begun here. Go on with it by resuming (--resume), or name another folder."`,
    );
    const other = { ...IDENTITY, model: 'b', settings: { ...SETTINGS, beams: 1 } };
    expect(await messageOf(openJournal(path, other, { resume: true }))).toMatchInlineSnapshot(
      `"FOLDER/journal.jsonl: the run that was begun here is another one: model was "a" and is "b"; settings.beams was 5 and is 1. Resume it with what it was begun with, or name another folder."`,
    );
    for (const [index, text] of ['{}\n', 'not JSON\n', '[]\n', `${await readFile(path, 'utf8')}{"a":1}\n`].entries()) {
      await writeFile(path, text);
      const message = await messageOf(openJournal(path, IDENTITY, { resume: true }));
      expect(message, String(index)).toContain('is no journal of a benchmark');
      expect(await readFile(path, 'utf8')).toBe(text); // nothing is lost
    }
  });
});
